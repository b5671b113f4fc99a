"""MovieLens 100K, every rating a positive, a random fifth held out: dense, popular films matter.

Command: python -m jaxrec.main --config=configs/ml_100k.py --config.data.path=events.csv \
    --workdir=models-ml-100k
A blend of the network, EASE and GF-CF; --config.method=ease (or gcn, gfcf) takes one alone. The
file has the columns user and item (u.data's first two, with a header). The settings were chosen on
three validation parts: docs/lab/movielens-blend.md has the searches.
"""

import ml_collections

from jaxrec.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """The default configuration with what these data need."""
    config = default_config()
    config.method = "blend"
    config.blend.models = ("gcn", "ease", "gfcf")
    config.blend.weights.gcn = 1.0
    config.blend.weights.ease = 0.943
    config.blend.weights.gfcf = 0.973
    config.baseline.ease.l2 = 441.0
    config.baseline.gfcf.singular_vectors = 39
    config.baseline.gfcf.low_pass_weight = 0.801
    config.data.source = "listens"
    config.data.validation_fraction = 0.1
    config.epochs = 30
    config.batch_size = 4096
    config.lr = 0.00331
    config.model.layers = 1
    config.model.init_stddev = 0.01
    config.loss.name = "softmax"
    config.loss.sampler = "popularity"
    config.loss.popularity_alpha = 0.55
    config.loss.negatives = 1024
    config.loss.temperature = 0.2515
    config.loss.negative_weight = 0.96
    config.loss.l2 = 0.0
    config.eval.ks = (10, 20)
    config.eval.metric = "ndcg@20"
    config.eval.every_epochs = 5
    return config
