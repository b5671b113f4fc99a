"""Last.fm 2K: what 1,892 listeners played, with play counts and artist names (HetRec 2011).

Command: python -m jaxrec.main --config=configs/lastfm.py --workdir=models-lastfm
Run time: about 10 seconds on 2 CPU cores.
Score: held-out Recall@10 .2593 [.2508, .2675] on all 1,859 listeners; most popular .0821.
Without a network, put user_artists.dat and artists.dat in a folder and add
--config.data.path=FOLDER.
"""

import ml_collections

from configs import default, lastfm_lightgcn


def get_config() -> ml_collections.ConfigDict:
    """Those of `lastfm_lightgcn`, chosen on the same listens, but the fields below."""
    config = lastfm_lightgcn.get_config()
    config.data.source = "lastfm-2k"
    config.data.split = "random"
    config.data.core = 5  # songs and listeners with fewer say too little to learn from
    config.epochs = 10  # chosen on validation parts of this split
    config.eval = default.get_config().eval
    return config
