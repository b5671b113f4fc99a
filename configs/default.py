"""The default run: a generated listening history, LightGCN with BPR, ten epochs.

Command: python -m jaxrec.main --config=configs/default.py
Run time: about 15 seconds on 2 CPU cores after installation, a third of it compiling at first.
Score: held-out Recall@10 .2427 [.2348, .2511] on all 3,000 listeners; most popular .0415.

docs/config.md says what each field means; the other configs change some of them.
"""

import ml_collections

from jaxrec.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """All fields with their defaults."""
    return default_config()
