"""The flags, and which of them each command heeds."""

from typing import Any, get_args

from absl import flags
from ml_collections import ConfigDict, config_flags

from jaxrec.config import add_defaults, default_config
from jaxrec.data.options import SeenRule

FLAGS = flags.FLAGS

DEFAULT = "default"  # stands for a config file that sets nothing


class _WithDefaults(flags.ArgumentParser):
    """Adds to what a config file sets the defaults of the rest, before flags change any field.

    The word `default` stands for a file that sets nothing.
    """

    def __init__(self, parser: flags.ArgumentParser) -> None:
        self._parser = parser

    def parse(self, argument: str) -> Any:
        if argument == DEFAULT:
            return default_config().lock()
        config = self._parser.parse(argument)
        if isinstance(config, ConfigDict):
            add_defaults(config)
        return config

    def flag_type(self) -> str:
        return self._parser.flag_type()


config_flags.DEFINE_config_file(
    "config", None, "The run's configuration, a file such as my_listens.py.", lock_config=True
)
FLAGS["config"].parser = _WithDefaults(FLAGS["config"].parser)
flags.DEFINE_string("workdir", "models", "Folder of the run, or of the search.")
flags.DEFINE_integer(
    "k", 10, "recommend, similar: songs per list. explain: songs shown.", lower_bound=1
)
flags.DEFINE_string(
    "output",
    None,
    "recommend, score, similar: file to write, .parquet or .csv. compare: one, .json or .csv. "
    "export, prepare: the folder.",
)
flags.DEFINE_list(
    "users",
    None,
    "recommend, explain, similar: ids of listeners, by commas; default of recommend is all.",
)
flags.DEFINE_string("users_file", None, "recommend: a file with a listener's id per line.")
flags.DEFINE_integer(
    "sample",
    None,
    "recommend: how many listeners to draw by the run's seed, to see what everybody's would take.",
    lower_bound=1,
)
flags.DEFINE_enum(
    "seen",
    "exclude",
    get_args(SeenRule),
    "recommend: songs they have listened to: leave out, list too, or list nothing else.",
)
flags.DEFINE_string(
    "histories",
    None,
    "recommend, explain: listens of after training (a file, folder or glob), whose listeners are "
    "meant; read as --config says, without it as the run's were.",
)
flags.DEFINE_bool(
    "join",
    False,
    "recommend --histories: have the songs know of the new listens first: they are put into the "
    "network's graph, nothing of it is trained, and other methods are fitted to them, too.",
)
flags.DEFINE_enum(
    "cold",
    "leave_out",
    ["leave_out", "popular"],
    "recommend: listeners of whom nothing is known are left out, or get the most popular songs.",
)
flags.DEFINE_string(
    "items_file",
    None,
    "recommend: a file with the ids of the songs that may be listed, one per line. similar: with "
    "--output, of those whose like are wanted; default is all.",
)
flags.DEFINE_string(
    "exclude_file",
    None,
    "recommend: songs that may not be listed, an id per line; or a .csv or .parquet file of user "
    "and item, for each listener alone.",
)
flags.DEFINE_integer(
    "per_artist",
    None,
    "recommend: songs of one artist in a list, at the most; by names such as title — artist.",
    lower_bound=1,
)
flags.DEFINE_integer(
    "because",
    0,
    "recommend: how many songs of the listener's history to name as reasons, in a column because.",
    lower_bound=0,
)
flags.DEFINE_string("pairs", None, "score: a .csv or .parquet file with the columns user and item.")
flags.DEFINE_string("item", None, "similar, explain: id of the song.")
flags.DEFINE_integer(
    "step",
    None,
    "evaluate, recommend, explain, score, similar, export: step of the checkpoint; 0 is the "
    "untrained model.",
)
flags.DEFINE_string(
    "init_from",
    None,
    "train: folder of a run whose embeddings the network begins with, by ids; new listeners and "
    "songs begin near those that they go with.",
)
flags.DEFINE_bool("final", False, "evaluate: train the frozen choice and measure it on test.")
flags.DEFINE_integer("seeds", 5, "evaluate --final: how many runs.", lower_bound=1)
flags.DEFINE_list("runs", [], "compare: folders of runs by commas, the reference first.")
flags.DEFINE_string(
    "bundle", None, "serve: the bundle's folder; default is the bundle of the run in --workdir."
)
flags.DEFINE_string("host", "127.0.0.1", "serve: the address to listen at.")
flags.DEFINE_integer(
    "port", 8000, "serve: the port; 0 is any that is free.", lower_bound=0, upper_bound=65535
)
flags.DEFINE_string("api_key_file", None, "serve: a file with the keys that may ask, one per line.")
flags.DEFINE_string(
    "processes",
    None,
    "train, evaluate, recommend: how many processes run this very command together; auto is what "
    "SLURM, Open MPI, Kubernetes or Cloud TPU say.",
)
flags.DEFINE_integer(
    "process", None, "Which of them this one is, from 0; --processes=auto knows.", lower_bound=0
)
flags.DEFINE_string(
    "coordinator",
    None,
    "HOST:PORT, the machine of process 0 and a port that is free there, as the one below it; "
    "--processes=auto knows.",
)

_TOGETHER = ("processes", "process", "coordinator")
FLAGS_OF = {
    "prepare": ("config", "output"),
    "train": ("config", "workdir", "init_from", *_TOGETHER),
    "evaluate": ("config", "workdir", "step", "final", "seeds", *_TOGETHER),
    "recommend": (
        *("workdir", "k", "output", "users", "users_file", "sample", "histories", "config"),
        *("join", "cold", "seen", "items_file", "exclude_file", "per_artist", "because", "step"),
        *_TOGETHER,
    ),
    "explain": ("workdir", "users", "histories", "config", "item", "k", "step"),
    "score": ("workdir", "pairs", "output", "step"),
    "similar": ("workdir", "item", "users", "items_file", "output", "k", "step"),
    "tune": ("config", "workdir"),
    "compare": ("runs", "output"),
    "export": ("workdir", "output", "step"),
    "serve": ("bundle", "workdir", "host", "port", "api_key_file"),
}
COMMANDS = tuple(FLAGS_OF)
