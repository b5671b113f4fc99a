"""Last.fm 2K: what 1,892 listeners played, with play counts and artist names (HetRec 2011).

Command: python -m jaxrec.main --config=configs/lastfm.py --workdir=models-lastfm
Run time: about 10 seconds on 2 CPU cores.
Score: held-out Recall@10 .2593 [.2508, .2675] on all 1,859 listeners; most popular .0821.
Without a network, put user_artists.dat and artists.dat in a folder and add
--config.data.path=FOLDER.
The settings are those of lastfm_lightgcn.py, chosen on the same listens, but for data and epochs.
"""

import ml_collections

from jaxrec.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """The default fields but those below."""
    config = default_config()
    config.data.source = "lastfm-2k"
    config.data.split = "random"
    config.data.core = 5  # songs and listeners with fewer say too little to learn from
    config.data.weight = "log"  # of the plays
    config.epochs = 10  # chosen on validation parts of this split
    config.batch_size = 2048
    config.lr = 0.00316
    config.model.layers = 1
    config.model.init_stddev = 0.01
    config.model.receiver_exponent = 0.535
    config.model.sender_exponent = 0.429
    config.model.layer_zero = 0.268
    config.walks.weight = 2.02
    config.walks.exponent = 0.624
    config.walks.longer = 0.272
    config.loss.name = "softmax"
    config.loss.sampler = "popularity"
    config.loss.popularity_alpha = 0.453
    config.loss.negatives = 2048
    config.loss.temperature = 0.223
    config.loss.l2 = 0.0
    config.tune.space = (
        "data.weight in binary log",
        "lr log 0.0005 0.01",
        "loss.temperature log 0.1 0.4",
        "loss.popularity_alpha float 0.3 1.2",
        "model.layers int 1 2",
        "model.receiver_exponent float 0.3 0.7",
        "model.sender_exponent float -0.1 0.5",
        "model.unit_layers in True False",
        "model.layer_zero float 0.2 0.8",
        "walks.weight log 0.1 8",
        "walks.exponent float 0 0.8",
        "walks.longer float 0 0.9",
    )
    return config
