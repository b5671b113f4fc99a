"""Gowalla check-ins in the LightGCN paper's split: the graph recommenders' common benchmark.

Command: python -m jaxrec.main --config=configs/gowalla.py --workdir=models-gowalla
Run time: about 4 minutes on 2 busy CPU cores.
Score: Recall@20 .1803 [.1779, .1827] on all 29,858 users; most popular .0416.
Without a network, put train.txt and test.txt in a folder and add --config.data.path=FOLDER.
The settings were chosen on validation data; docs/results.md says how.
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
    config.epochs = 30
    config.model.layers = 2
    config.model.init_stddev = 0.01
    config.model.receiver_exponent = 0.6
    config.model.sender_exponent = -0.1
    config.model.unit_layers = True
    config.model.layer_zero = 0.3
    config.loss.name = "softmax"
    config.loss.sampler = "popularity"
    config.loss.popularity_alpha = 0.75
    config.loss.negatives = 4096
    config.loss.temperature = 0.12
    config.loss.l2 = 0.0
    config.eval.ks = (20,)
    config.eval.metric = "recall@20"
    config.eval.every_epochs = 5
    return config
