"""Gowalla check-ins in the LightGCN paper's split: the graph recommenders' common benchmark.

Command: python -m jaxrec.main --config=configs/gowalla.py --workdir=models-gowalla
"""

import ml_collections

from configs import default


def get_config() -> ml_collections.ConfigDict:
    """The default fields but those below."""
    config = default.get_config()
    config.data.source = "gowalla"
    config.data.split = "given"
    config.data.validation_fraction = 0.0  # as published; settings were chosen with 0.1, alike
    config.batch_size = 13_700
    config.lr = 0.001
    config.epochs = 40
    config.model.layers = 1
    config.model.init_stddev = 0.0082
    config.model.walks = 4.0
    config.model.walks_exponent = 0.3
    config.loss.name = "softmax"
    config.loss.sampler = "popularity"
    config.loss.popularity_alpha = 1.0
    config.loss.negatives = 4096
    config.loss.temperature = 0.12
    config.loss.negative_weight = 0.84
    config.loss.l2 = 0.0
    config.eval.ks = (20,)
    config.eval.metric = "recall@20"
    config.eval.every_epochs = 20
    config.checkpoint.every = "10 epochs"
    config.tune.space = ("model.walks in 2 4 8", "model.walks_exponent in 0.25 0.3 0.35")
    return config
