"""`RunConfig`, everything that a run depends on; `RunConfig()` is the default run."""

import dataclasses
from typing import Literal

from jaxrec.config.auto import AutoConfig
from jaxrec.config.data import DataConfig
from jaxrec.config.fields import group, setting
from jaxrec.config.history import HistoryConfig
from jaxrec.config.methods import BaselineConfig, BlendConfig, Method
from jaxrec.config.network import LossConfig, ModelConfig, RankingConfig, WalksConfig
from jaxrec.config.prepare import PrepareConfig
from jaxrec.data.options import SeenRule
from jaxrec.data.weighting import Weighting

METRIC_PATTERN = r"(recall|precision|ndcg|hit_rate|mrr|map)@[1-9][0-9]*"
# Fields that may differ from a trained run's own when it is measured again.
MEASURED_BY = (
    *("eval.ks", "eval.seen", "eval.cold", "eval.cold_history", "eval.most_users"),
    *("eval.memory_budget_mb", "quiet"),
)
EVERY_PATTERN = r"([1-9][0-9]*) (epoch|step|minute)s?"


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """What is measured, on whom, and what follows from it."""

    ks: tuple[int, ...] = setting((10, 20), "list lengths K of the metrics", minimum=1)
    seen: SeenRule = setting(
        "exclude",
        "songs a listener knew before: exclude (what is new is to be found), include (both), only "
        "(what is heard again); those two need split = time or yambda",
    )
    cold: Literal["leave_out", "fold_in"] = setting(
        "leave_out",
        "listeners who came after the moment that split = time cuts at: leave_out (counted), or "
        "fold_in (measured apart: their first songs are their history, the others to be found)",
    )
    cold_history: float = setting(
        0.5, "fold_in: the share of such a listener's songs that is the history", above=0, below=1
    )
    every_epochs: int = setting(1, "epochs between the evaluations on a few listeners", minimum=1)
    users: int = setting(
        100, "random listeners of those evaluations, the same every time", minimum=1
    )
    most_users: int | None = setting(
        None,
        "listeners measured at the end, at the most: as many are drawn, the same for every run; "
        "None: all",
        minimum=1,
    )
    memory_budget_mb: int = setting(512, "MiB of scores held at once while ranking", minimum=1)
    metric: str = setting(
        "recall@10",
        "chooses the best checkpoint; drawn in curves.png",
        pattern=METRIC_PATTERN,
        expected="recall, precision, ndcg, hit_rate, mrr or map and a list length, such as "
        "recall@10",
    )
    patience: int = setting(
        0, "evaluations without a better metric before stopping; 0 is off", minimum=0
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """When the run is saved, what is kept, and how long stopping may take."""

    every: str = setting(
        "1 epoch",
        "between saves, such as 500 steps or 10 minutes; the end is saved too",
        pattern=EVERY_PATTERN,
        expected="a number of epochs, steps or minutes, such as '1 epoch', '500 steps' or "
        "'10 minutes'",
    )
    keep: int = setting(2, "newest checkpoints kept, beside the best one", minimum=1)
    grace_seconds: float = setting(
        30.0, "seconds from SIGTERM or Ctrl-C to the end of the process", above=0
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProcessesConfig:
    """How long the processes of one run wait for each other; docs/scale.md has how they start."""

    silence_seconds: float = setting(
        60.0, "seconds of silence after which a process counts as hanging and all end", above=0
    )
    start_seconds: float = setting(
        300.0, "seconds that processes wait at the start until all have come", above=0
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TuneConfig:
    """Among what `tune` chooses, and how long it searches."""

    space: tuple[str, ...] = setting(
        ("lr log 0.001 0.1", "loss.l2 log 1e-6 1e-2", "model.layers int 1 4"),
        'what is chosen: "FIELD log LOW HIGH", "FIELD float LOW HIGH", "FIELD int LOW HIGH" '
        '(whole numbers) or "FIELD in A B C", a field as it is written after config.',
    )
    trials: int = setting(
        30, "settings to try, those counted that were tried before a stop", minimum=1
    )
    cuts: int = setting(
        1,
        "validation parts, each cut by a seed of its own, that a score is the mean over",
        minimum=1,
    )
    prune_from: float = setting(
        0.5, "share of the epochs, from where trials below the median end; 1 is never", minimum=0
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """The devices that share a network's training; docs/architecture.md has what that changes."""

    devices: int = setting(
        0, "devices that share the graph; 0: all there are, of all processes", minimum=0
    )
    loss: Literal["shared", "repeated"] = setting(
        "shared",
        "shared: each device computes the loss of its part of a batch; repeated: of the whole "
        "batch, so that what is learnt is the same to the bit on any number of devices",
    )
    gather_dims: int = setting(
        0,
        "dimensions of the others' rows that a device gathers at a time, so that none holds a "
        "whole table; 0: all. Takes less memory and longer, and learns the same",
        minimum=0,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything a run depends on."""

    # The folder of an older run lacks the fields that are added later, and is read with their
    # defaults: with these a run must be what it was without them.
    method: Method = setting(
        "gcn",
        "gcn (the network), most_popular, itemknn, rp3beta, ease, slim, ials, gfcf, walks (the "
        "graph's own three-step walks alone); of listens with times own_plays (what a listener "
        "knows, again), recent_popular, transitions (what is played next), sessions (what is heard "
        "in one sitting); blend (several of them) or auto (what suits the data, chosen on "
        "validation)",
    )
    epochs: int = setting(10, "passes over all training edges", minimum=1)
    lr: float = setting(0.01, "learning rate of Adam (after warm-up)", above=0)
    lr_schedule: Literal["constant", "cosine"] = setting(
        "constant", "constant, or cosine: down to 0 at the last epoch"
    )
    warmup_epochs: float = setting(
        0.0, "epochs of linear warm-up from 0; may be a fraction", minimum=0
    )
    batch_size: int = setting(
        512, "training edges per update; softmax: about so many, whole listeners", minimum=1
    )
    seed: int = setting(
        0,
        "all randomness: data, split, initial values, order, negatives",
        minimum=0,
        below=2**32,
    )
    quiet: bool = setting(False, "True: print warnings only")
    profile: bool = setting(
        False, "True: write a trace of some steps to profile/ in the run's folder"
    )
    data: DataConfig = group(DataConfig)
    prepare: PrepareConfig = group(PrepareConfig)
    history: HistoryConfig = group(HistoryConfig)
    model: ModelConfig = group(ModelConfig)
    walks: WalksConfig = group(WalksConfig)
    ranking: RankingConfig = group(RankingConfig)
    loss: LossConfig = group(LossConfig)
    baseline: BaselineConfig = group(BaselineConfig)
    blend: BlendConfig = group(BlendConfig)
    eval: EvalConfig = group(EvalConfig)
    checkpoint: CheckpointConfig = group(CheckpointConfig)
    processes: ProcessesConfig = group(ProcessesConfig)
    mesh: MeshConfig = group(MeshConfig)
    tune: TuneConfig = group(TuneConfig)
    auto: AutoConfig = group(AutoConfig)

    @property
    def learnt_weights(self) -> Weighting:
        """How interactions are weighed that a model learns from."""
        return Weighting(self.data.weight, self.history.learnt_half_life_days)

    @property
    def ranking_weights(self) -> Weighting:
        """How a listener's interactions are weighed when lists are made."""
        return Weighting(self.history.weight or self.data.weight, self.history.half_life_days)
