"""The fields of `config.history`: how much a listen counts by its age."""

import dataclasses

from jaxrec.config.fields import setting
from jaxrec.data.options import Weight


@dataclasses.dataclass(frozen=True, kw_only=True)
class HistoryConfig:
    """What a listener's own listens count when lists are made, and when a model learns.

    A listen counts 2^-(age / half-life); ages count from the moment where a split by time cuts,
    else from the last listen. What counts when lists are made may change without learning anew.
    """

    weight: Weight | None = setting(
        None,
        "when lists are made, what a song's plays by the listener count: binary (the last one), "
        "log (log(1 + sum)), raw (their sum); None: as data.weight",
    )
    half_life_days: float | None = setting(
        None,
        "when lists are made: days after which a listen counts half; None: all count whole",
        above=0,
    )
    learnt_half_life_days: float | None = setting(
        None, "likewise for the edges that are learnt from, beside data.weight", above=0
    )
