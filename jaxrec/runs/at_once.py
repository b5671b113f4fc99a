"""Methods that are fitted at once: one epoch of one step, kept as the whole model."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from jaxrec.config import RunConfig, to_json
from jaxrec.data.interactions import Interactions
from jaxrec.models import closed_forms
from jaxrec.models.method import Hooks, Saved, shown
from jaxrec.models.model import Model
from jaxrec.runs.saved_models import model_shapes, restore_model, save_model


@dataclasses.dataclass(eq=False)
class ModelFitting:
    """A model that is made in one go: one epoch of one step; the state is the model itself."""

    make: Callable[[Hooks], Model]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    epochs: int = 1
    steps_per_epoch: int = 1
    iterative: bool = False
    work: int = 0

    def fresh(self) -> None:
        """Nothing is known before."""

    def step(self, state: Model | None) -> int:
        """1 once it is fitted."""
        return 0 if state is None else 1

    def advance(
        self, state: Model | None, epoch: int, hooks: Hooks, *, loss_sum: float = 0.0
    ) -> tuple[Model, None]:
        """Fits it."""
        del state, epoch, loss_sum
        return self.make(hooks), None

    def model(self, state: Model) -> Model:
        """The state."""
        return state

    def save(self, state: Model) -> Saved:
        """The model's arrays, with its kind, settings and their shapes."""
        return save_model(state)

    def shapes(self, about: Mapping[str, Any] | None) -> dict[str, jax.ShapeDtypeStruct]:
        """As they were when saved."""
        return model_shapes(about)

    def restore(self, saved: Saved) -> Model:
        """The model."""
        return restore_model(saved)

    def profile(self, folder: Path, state: Model | None) -> None:
        """Nothing: there are no steps to trace."""


@dataclasses.dataclass(frozen=True)
class ClosedForm:
    """A method that is fitted at once; see `Method`."""

    name: str
    random: bool
    sums: bool
    group: str | None  # of its settings
    unused: tuple[str, ...] = ()  # fields of the group that say something else

    def is_random(self, config: RunConfig) -> bool:
        """Whether another seed gives another model."""
        del config
        return self.random

    def identity(self, config: RunConfig) -> dict[str, Any]:
        """Its settings, and the seed."""
        return {"seed": config.seed} | {
            f"{self.group}.{name}": value for name, value in self._settings(config).items()
        }

    def ranking(self, config: RunConfig) -> dict[str, Any]:
        """None."""
        del config
        return {}

    def frozen(self, config: RunConfig) -> dict[str, Any]:
        """None."""
        del config
        return {}

    def owns(self, field: str, config: RunConfig) -> bool:
        """Its own settings."""
        group, _, name = field.rpartition(".")
        return group == self.group and name in self._settings(config)

    def members(self, config: RunConfig) -> tuple[str, ...]:
        """None."""
        del config
        return ()

    def fitting(self, config: RunConfig, train: Interactions, *, copies: int = 1) -> ModelFitting:
        """Nothing needs making ready.

        Raises:
          UserError: it needs times and the history has none.
        """
        del copies
        if self.name in closed_forms.BY_TIME:
            train.listens()
        note = closed_forms.NOTES.get(self.name)

        def make(hooks: Hooks) -> Model:
            return closed_forms.fit(
                self.name,
                self._settings(config),
                train,
                weight=config.learnt_weights,
                seed=config.seed,
                track=shown(hooks.show, self.name),
            )

        return ModelFitting(make, notes=() if note is None else (note(train.num_items),))

    def _settings(self, config: RunConfig) -> dict[str, Any]:
        if self.group is None:
            return {}
        group: dict[str, Any] = to_json(config)
        for name in self.group.split("."):
            group = group[name]
        return {name: value for name, value in group.items() if name not in self.unused}
