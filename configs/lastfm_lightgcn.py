"""Last.fm 2K in the split that LightGCN-PyTorch ships: network and walks tuned for it.

Command: python -m jaxrec.main --config=configs/lastfm_lightgcn.py --workdir=models-lastfm-lightgcn
Run time: about 10 seconds on 2 CPU cores.
Score: Recall@20 .2797 [.2684, .2899] on 1,856 listeners, most popular .0383; .2856 over five seeds
that learn from the validation part too. docs/results.md has the other methods.
Without a network, put train.txt and test.txt in a folder and add --config.data.path=FOLDER.
The settings are those of lastfm.py beside this file, chosen on these data's validation part.
"""

import runpy
from pathlib import Path

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    """The fields of lastfm.py but those below."""
    sibling = Path(__file__).with_name("lastfm.py")
    config: ml_collections.ConfigDict = runpy.run_path(str(sibling))["get_config"]()
    config.data.source = "lastfm-lightgcn"
    config.data.split = "given"
    config.data.core = 0  # the parts are taken as they are
    config.epochs = 20
    config.eval.ks = (20,)
    config.eval.metric = "recall@20"
    config.eval.every_epochs = 2
    return config
