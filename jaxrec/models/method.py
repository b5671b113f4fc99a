"""Methods: how models are fitted, whether over many epochs or at once."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from jaxrec.config import RunConfig
from jaxrec.data.interactions import Interactions
from jaxrec.models.matrix import Step, Track
from jaxrec.models.model import Model


class Progress(Protocol):
    """How far a piece of work is, for people."""

    def update(self, advance: int, **fields: float) -> None:
        """So many more units of it are done."""


# total, description, unit -> shows how far a piece of work of `total` units is, while a block runs
Show: TypeAlias = Callable[[int, str, str], contextlib.AbstractContextManager[Progress, Any]]


class _Unseen:
    def update(self, advance: int, **fields: float) -> None:
        """Shows nothing."""


def unseen(total: int, description: str, unit: str) -> contextlib.AbstractContextManager[Progress]:
    """A `Show` that shows nothing."""
    del total, description, unit
    return contextlib.nullcontext(_Unseen())


@dataclasses.dataclass(frozen=True)
class Hooks:
    """What a fit tells and asks of whoever drives it.

    Attributes:
      show: shows how far it is.
      longest_seconds: how long it may go without asking `pause_at`.
      pause_at: asked between two dispatches, with the step reached, whether to pause.
      on_pause: called in a pause with the state and the loss summed so far; may raise to stop.
    """

    show: Show
    longest_seconds: float = float("inf")
    pause_at: Callable[[int], bool] = lambda step: False
    on_pause: Callable[[Any, float], None] = lambda state, loss_sum: None


def shown(show: Show, name: str) -> Track:
    """Steps of a method or of other work by its name, shown as they are done."""

    def track(steps: Sequence[Step], what: str, unit: str) -> Iterable[Step]:
        with show(len(steps), f"{name}: {what}", unit) as bar:
            for step in steps:
                yield step
                bar.update(1)

    return track


@dataclasses.dataclass(frozen=True)
class Saved:
    """A state as it is kept.

    Attributes:
      arrays: a tree of arrays, and of tables that several devices have (`jaxrec.gcn.dealt_table`).
      about: what tells their shapes and meaning, ready for JSON; None where the configuration does.
    """

    arrays: Any
    about: dict[str, Any] | None = None


class Fitting(Protocol):
    """One method about to be fitted to some interactions, epoch by epoch.

    A state is whatever the fit carries from epoch to epoch.

    Attributes:
      epochs: how many there are.
      steps_per_epoch: updates in each.
      iterative: whether a state before the last epoch, and the untrained one, are models too.
      work: edges visited in an epoch, 0 where the method visits none.
      notes: lines that say what is going to be fitted.
      warnings: lines that say what a person should know of it.
    """

    @property
    def epochs(self) -> int:
        """As above."""

    @property
    def steps_per_epoch(self) -> int:
        """As above."""

    @property
    def iterative(self) -> bool:
        """As above."""

    @property
    def work(self) -> int:
        """As above."""

    @property
    def notes(self) -> Sequence[str]:
        """As above."""

    @property
    def warnings(self) -> Sequence[str]:
        """As above."""

    def fresh(self) -> Any:
        """The state at step 0."""

    def step(self, state: Any) -> int:
        """How many updates have been made."""

    def advance(
        self, state: Any, epoch: int, hooks: Hooks, *, loss_sum: float = 0.0
    ) -> tuple[Any, float | None]:
        """One epoch, from its beginning or from within it.

        Args:
          state: the state before; it may not be used afterwards.
          epoch: the epoch's number, from 0.
          hooks: who watches.
          loss_sum: the loss summed over what was visited of the epoch before.

        Returns:
          The state after, and the mean loss; None where there is none.

        Raises:
          RunError: the loss or the state became NaN or infinite.
          UserError: the settings don't suit the data or the memory.
        """

    def model(self, state: Any) -> Model:
        """What a state ranks by."""

    def save(self, state: Any) -> Saved:
        """The state, to be kept."""

    def shapes(self, about: Mapping[str, Any] | None) -> Any:
        """A tree of shapes and types, of what was kept with these words about it.

        Of a table for several devices it has the `jaxrec.gcn.dealt_table.Awaited`.
        """

    def restore(self, saved: Saved) -> Any:
        """The state that was kept."""

    def profile(self, folder: Path, state: Any) -> None:
        """Writes a trace of some steps from a state, which is left as it is, to a folder."""


def fitted(fitting: Fitting, hooks: Hooks) -> Model:
    """What ranks after all epochs.

    Raises:
      RunError: the loss or the state became NaN or infinite.
    """
    state = fitting.fresh()
    for epoch in range(fitting.epochs):
        state, _ = fitting.advance(state, epoch, hooks)
    return fitting.model(state)


class Method(Protocol):
    """A way from interactions to a model.

    Attributes:
      name: as in `config.method`.
      sums: whether it sums over the graph, by one of `message_passing.KERNELS`.
    """

    @property
    def name(self) -> str:
        """As above."""

    @property
    def sums(self) -> bool:
        """As above."""

    def is_random(self, config: RunConfig) -> bool:
        """Whether another seed gives another model."""

    def identity(self, config: RunConfig) -> dict[str, Any]:
        """The fields that what is fitted depends on, beside the data."""

    def ranking(self, config: RunConfig) -> dict[str, Any]:
        """The fields that only the ranking depends on: they may change without fitting again."""

    def frozen(self, config: RunConfig) -> dict[str, Any]:
        """The fields that may change from start to start of a run, but not of a frozen choice."""

    def owns(self, field: str, config: RunConfig) -> bool:
        """Whether a field such as `loss.l2` makes a difference to this method."""

    def members(self, config: RunConfig) -> tuple[str, ...]:
        """The names of the methods that it blends; empty where it is fitted by itself."""

    def fitting(self, config: RunConfig, train: Interactions, *, copies: int = 1) -> Fitting:
        """Makes ready to fit.

        Args:
          config: the settings.
          train: what may be known.
          copies: how many such fits are held in memory at once.

        Raises:
          UserError: the settings don't suit the data or the memory.
        """
