"""Last.fm 2K in the split that LightGCN-PyTorch ships: network and walks tuned for it.

Command: python -m jaxrec.main --config=configs/lastfm_lightgcn.py --workdir=models-lastfm-lightgcn
Run time: about 10 seconds on 2 CPU cores.
Score: Recall@20 .2797 [.2684, .2899] on 1,856 listeners, most popular .0383; .2856 over five seeds
that learn from the validation part too. docs/results.md has the other methods.
Without a network, put train.txt and test.txt in a folder and add --config.data.path=FOLDER.
"""

import ml_collections

from jaxrec.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """The default fields but those below."""
    config = default_config()
    config.data.source = "lastfm-lightgcn"
    config.data.split = "given"
    config.data.weight = "log"  # of the plays
    config.epochs = 20
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
    config.eval.ks = (20,)
    config.eval.metric = "recall@20"
    config.eval.every_epochs = 2
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
