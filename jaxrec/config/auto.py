"""The fields of `config.auto`: the automatic recipe."""

import dataclasses
from typing import Literal

from jaxrec.config.fields import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoConfig:
    """The automatic recipe (method = auto): methods, settings and a blend chosen on validation.

    Fields that are set, in a config file or on the command line, are fixed; the others are
    chosen."""

    effort: Literal["quick", "normal", "thorough"] = setting(
        "normal",
        "how much is tried: quick, normal or thorough; how much that is depends on the size of the "
        "data, not on a clock",
    )
    refit: bool = setting(
        False,
        "True: what was chosen is fitted once more to all listens, test included, in for-use/ of "
        "the run's folder, from where recommend and similar take it",
    )
