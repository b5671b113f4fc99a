"""Gowalla as in the LightGCN paper: three layers, BPR, one uniform negative, 1,000 epochs.

Command: python -m jaxrec.main --config=configs/gowalla_paper.py --workdir=models-paper
Run time: 25 seconds an epoch on 2 CPU cores, 7 hours in all; it goes on where it was stopped.
Score: Recall@20 .1626 [.1604, .1647] after 100 epochs; the paper's authors got .1824 after 1,000.
Without a network, put train.txt and test.txt in a folder and add --config.data.path=FOLDER.
"""

import ml_collections

from jaxrec.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """The default fields but those below."""
    config = default_config()
    config.data.source = "gowalla"
    config.data.split = "given"
    config.data.validation_fraction = 0.0  # as in the paper; above 0 to choose settings by
    config.batch_size = 2048
    config.lr = 0.001
    config.epochs = 1000
    config.eval.ks = (20,)
    config.eval.metric = "recall@20"
    return config
