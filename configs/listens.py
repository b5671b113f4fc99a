"""Your own listening history: copy this file, change what is below, and run it.

Command: python -m jaxrec.main --config=my_listens.py --workdir=models-mine
Nothing else needs to be set: methods, settings and a blend are chosen on a part of your listens,
the choice is measured on another part, and then fitted to all of them, for recommend and similar.
How long that takes is told at the start; --config.auto.effort=quick takes less. What you set
yourself, such as config.epochs, is kept; --config.method=ease takes one method, nothing chosen.
docs/config.md explains each field.
"""

import ml_collections

from jaxrec.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """The default fields but those below."""
    config = default_config()
    config.method = "auto"
    config.auto.refit = True
    config.eval.metric = "recall@20"  # what is chosen by
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
    config.data.split = "random"  # with timestamps, "time" is the honest choice
    return config
