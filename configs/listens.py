"""Your own listening history: copy this file, change what is below, and run it.

Command: python -m jaxrec.main --config=my_listens.py --workdir=models-mine
Run time and score depend on your data: the first table tells what was read, the progress bar how
long an epoch takes, and the results table shows the most-popular list beside the model.
The fields not named here keep their defaults; docs/config.md explains each.
"""

import ml_collections

from jaxrec.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """The default fields but those below."""
    config = default_config()
    config.data.source = "listens"
    config.data.path = "listens.csv"  # a CSV, TSV or Parquet file, a folder of them, or a glob
    config.data.columns.user = "user"  # the names of your columns …
    config.data.columns.item = "item"
    # … and, where you have them:
    # config.data.columns.timestamp = "played_at"
    # config.data.columns.plays = "plays"
    # config.data.columns.ms_played = "ms_played"
    # config.data.columns.item_name = "title"
    # config.data.columns.artist = "artist"
    config.data.min_ms_played = 0  # 30_000 with a ms_played column drops what was skipped
    config.walks.weight = 2.0  # better lists on every dataset that we have; 0 is the network alone
    config.data.split = "random"  # with timestamps, "time" is the honest choice
    return config
