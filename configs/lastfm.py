"""Last.fm 2K: what 1,892 listeners played, with play counts and artist names (HetRec 2011).

Command: python -m jaxrec.main --config=configs/lastfm.py --workdir=models-lastfm
Run time: about 12 seconds on 2 CPU cores.
Score: held-out Recall@10 .2382 [.2300, .2457] on all 1,859 listeners; most popular .0821.
Without a network, put user_artists.dat and artists.dat in a folder and add
--config.data.path=FOLDER.
"""

import ml_collections

from configs import default


def get_config() -> ml_collections.ConfigDict:
    """The default fields but those below."""
    config = default.get_config()
    config.data.source = "lastfm-2k"
    config.data.core = 5  # songs and listeners with fewer say too little to learn from
    config.batch_size = 2048
    config.epochs = 30
    return config
