"""Gowalla check-ins in the LightGCN paper's split: the graph recommenders' common benchmark.

Command: python -m jaxrec.main --config=configs/gowalla.py --workdir=models-gowalla
Run time: 5 to 7 minutes on 2 CPU cores, 25 seconds an epoch on an idle machine.
Score: Recall@20 .1181 [.1161, .1200] on all 29,858 users after these 10 epochs; most popular .0416.
Without a network, put train.txt and test.txt in a folder and add --config.data.path=FOLDER.
"""

import ml_collections

from configs import default


def get_config() -> ml_collections.ConfigDict:
    """The default fields but those below."""
    config = default.get_config()
    config.data.source = "gowalla"
    config.data.split = "given"
    config.data.validation_fraction = 0.0  # as in the paper; above 0 to choose settings by
    config.batch_size = 2048
    config.lr = 0.001
    config.epochs = 10
    config.eval.ks = (20,)
    config.eval.metric = "recall@20"
    return config
