"""Yambda-50M: the benchmark of Yandex Music's listens, by its own definitions.

Command: python -m jaxrec.main --config=configs/yambda.py --workdir=models-yambda
Downloads listens.parquet; without a network, put it in a folder and add --config.data.path=FOLDER.
Run time and score: unknown, the data were not at hand here. What is published is in the paper
(https://arxiv.org/abs/2505.22238, listens played by half); docs/protocol.md says what is measured.
As there, settings are chosen on the day before test, and `evaluate --final` learns from it, too.
"""

import ml_collections

from jaxrec.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """The default fields but those below."""
    config = default_config()
    config.data.source = "yambda-50m-listens"  # played by half at least; -500m and -5b likewise
    config.data.split = "yambda"
    config.data.moment = "25913600"  # the last day, seconds from where the data begin
    config.eval.seen = "include"  # nothing is masked
    config.eval.ks = (10, 50, 100)
    config.eval.metric = "ndcg@100"  # what the benchmark chooses by
    config.method = "itemknn"  # over listens that age
    config.baseline.itemknn.centre = False
    config.baseline.itemknn.normalize = False
    config.history.weight = "raw"
    config.history.half_life_days = 7.0
    return config
