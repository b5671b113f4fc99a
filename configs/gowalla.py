"""Gowalla check-ins in the LightGCN paper's split: the graph recommenders' common benchmark.

Command: python -m jaxrec.main --config=configs/gowalla.py --workdir=models-gowalla
Run time: about a minute and a half on 2 CPU cores.
Score: Recall@20 .1944, NDCG@20 .1613 on all 29,858 users, mean of five seeds; most popular .0416.

Without a network, put train.txt and test.txt in a folder and add --config.data.path=FOLDER.
One layer, temperature, weight of the negatives, learning rate and start are those that BSL's
authors published (Wu et al. 2023, https://arxiv.org/abs/2312.12882); walks and epochs were chosen
on validation data: docs/lab/ says how, and which other settings did as well or better there.
"""

import ml_collections

from jaxrec.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """The default fields but those below."""
    config = default_config()
    config.data.source = "gowalla"
    config.data.split = "given"
    config.data.validation_fraction = 0.0  # as published; settings were chosen with 0.1, alike
    config.batch_size = 13_700  # of whole listeners; theirs: 2,048 edges
    config.lr = 0.001
    config.epochs = 40
    config.model.layers = 1
    config.model.init_stddev = 0.0082
    config.walks.weight = 4.0
    config.walks.exponent = 0.2
    config.walks.longer = 0.6
    config.loss.name = "softmax"
    config.loss.sampler = "popularity"  # as often as in a batch of theirs
    config.loss.popularity_alpha = 1.0
    config.loss.negatives = 4096
    config.loss.temperature = 0.12
    config.loss.negative_weight = 0.84
    config.loss.l2 = 0.0  # theirs, 1e-5, adds less than a ten-thousandth to the loss
    config.eval.ks = (20,)
    config.eval.metric = "recall@20"
    config.eval.every_epochs = 20
    config.checkpoint.every = "10 epochs"
    config.tune.space = ("walks.exponent in 0.2 0.3", "walks.longer in 0 0.3 0.6 0.9")
    return config
