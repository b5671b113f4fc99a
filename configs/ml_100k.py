"""MovieLens 100K, every rating a positive, a random fifth held out: dense, popular films matter.

Command: python -m jaxrec.main --config=configs/ml_100k.py --config.data.path=events.csv \
    --workdir=models-ml-100k
A blend of the network, EASE and GF-CF; --config.method=ease (or gcn, gfcf) takes one alone. The
file has the columns user and item (u.data's first two, with a header).
"""

import ml_collections

from jaxrec.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """The default configuration with what these data need."""
    config = default_config()
    config.method = "blend"
    config.data.source = "listens"
    config.data.validation_fraction = 0.1
    config.epochs = 40
    config.batch_size = 4096
    config.lr = 0.003
    config.model.layers = 1
    config.model.init_stddev = 0.01
    config.loss.name = "softmax"
    config.loss.sampler = "popularity"
    config.loss.popularity_alpha = 0.5
    config.loss.negatives = 1024
    config.loss.temperature = 0.2
    config.loss.l2 = 0.0
    config.eval.ks = (10, 20)
    config.eval.metric = "ndcg@20"
    config.eval.every_epochs = 5
    return config
