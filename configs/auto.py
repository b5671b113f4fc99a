"""The best lists that we know how to make from any data, nothing set by hand.

Command: python -m jaxrec.main --config=configs/auto.py --config.data.path=listens.csv
Methods suited to the data's size are fitted with several settings each and scored on parts of
train; what counts at ranking and a blend are chosen there too. Then the choice is fitted to all of
train and measured on test, once. Any field that is set is kept: --config.epochs=1 is a quick look.
docs/lab/auto.md has what it chose on public data, and what that cost.
"""

import ml_collections

from jaxrec.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """The default fields but those below."""
    config = default_config()
    config.method = "auto"
    config.data.source = "listens"
    config.eval.ks = (10, 20)
    config.eval.metric = "recall@20"
    return config
