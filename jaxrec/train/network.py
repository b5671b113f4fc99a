"""The graph convolution network as a method: its fit, epoch by epoch, and what it ranks by."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxrec.config import RunConfig, to_json
from jaxrec.data.interactions import Interactions
from jaxrec.models.cut_walks import cut
from jaxrec.models.factors import Factors, with_length_exponent
from jaxrec.models.filters import Filter
from jaxrec.models.item_weights import ItemWeights
from jaxrec.models.matrix import untracked
from jaxrec.models.method import Hooks, Saved
from jaxrec.models.model import Model
from jaxrec.models.walks import beside_walks, walks
from jaxrec.train.carrying import Start, carry_over
from jaxrec.train.checks import check_learnable, check_memory
from jaxrec.train.loop import Pace
from jaxrec.train.profile import trace_steps
from jaxrec.train.setup import Setup, build
from jaxrec.train.step import TrainState

_SCHEDULE = ("lr", "lr_schedule", "warmup_epochs", "batch_size", "seed")
_FOREIGN = (
    *("method", "data", "eval", "checkpoint", "tune", "auto", "baseline", "blend"),
    *("quiet", "profile", "processes", "mesh"),
)


@dataclasses.dataclass(eq=False)
class NetworkFitting:
    """The network about to be trained; see `Fitting`."""

    config: RunConfig
    setup: Setup
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    iterative: bool = True
    pace: Pace | None = None

    @property
    def epochs(self) -> int:
        """How many there are."""
        return self.config.epochs

    @property
    def steps_per_epoch(self) -> int:
        """Updates in an epoch."""
        return self.setup.batches.num_steps

    @property
    def work(self) -> int:
        """Edges."""
        return self.setup.totals.num_edges

    def fresh(self) -> TrainState:
        """The state at step 0, a function of the seed."""
        return self.setup.fresh_state()

    def started_from(self, start: Start, train: Interactions) -> tuple[TrainState, str]:
        """The state at step 0 with what another network has learnt, and a line that says how much.

        The optimizer begins anew.
        """
        fresh = self.setup.whole_state()  # rows that are dealt aren't in the order of the ids
        params, users, items = carry_over(start, train, fresh.params)
        state: TrainState = self.setup.placed(dataclasses.replace(fresh, params=params))
        told = [
            f"{each.known:,} {what} by their id, {each.near:,} by their neighbours, "
            f"{each.others:,} by chance"
            for each, what in ((users, "users"), (items, "items"))
        ]
        return state, f"starting from what was learnt before: {'; '.join(told)}"

    def step(self, state: TrainState) -> int:
        """How many updates have been made."""
        return int(state.step)

    def advance(
        self, state: TrainState, epoch: int, hooks: Hooks, *, loss_sum: float = 0.0
    ) -> tuple[TrainState, float]:
        """Visits every edge once."""
        self.pace = self.pace or Pace(hooks.longest_seconds)
        with hooks.show(self.work, f"epoch {epoch + 1}/{self.epochs}", "edges") as bar:
            return self.setup.train_epoch(
                state,
                epoch,
                on_steps=lambda edges, loss: bar.update(edges, loss=loss),
                loss_sum=loss_sum,
                pace=self.pace,
                pause_at=hooks.pause_at,
                on_pause=hooks.on_pause,
            )

    def model(self, state: TrainState) -> Model:
        """The final embeddings, with walks beside them where they count."""
        setup = self.setup
        final = setup.final_embeddings(state.params)
        factors = Factors(
            np.asarray(final.user), np.asarray(final.item), setup.fold_in(state.params)
        )
        factors = with_length_exponent(factors, self.config.ranking.length_exponent)
        weight = self.config.walks.weight
        if weight == 0:
            return factors
        known = setup.totals.item.edges > 0
        return beside_walks(factors, self._walked, weight, known)

    @functools.cached_property
    def _walked(self) -> Filter | ItemWeights:
        """The walks, which are the same whatever has been learnt."""
        settings = self.config.walks
        filtered = walks(
            self.setup.whole_graph(),
            exponent=settings.exponent,
            longer=settings.longer,
            kernel=self.setup.convolution.sums.kernel,
        )
        return cut(filtered, settings.ends, untracked) if settings.ends else filtered

    def save(self, state: TrainState) -> Saved:
        """The parameters, the optimizer's state and the step, in the data's order."""
        return Saved(self.setup.dealt(state))

    def shapes(self, about: Mapping[str, Any] | None) -> TrainState:
        """Those of a fresh state."""
        del about
        return self.setup.awaited_state()

    def restore(self, saved: Saved) -> TrainState:
        """The state, on the device or dealt to the devices."""
        state: TrainState = self.setup.placed(saved.arrays)
        return state

    def profile(self, folder: Path, state: TrainState) -> None:
        """Two dispatches, the second one traced."""
        trace_steps(folder, self.setup, state)


class Network:
    """LightGCN and its kin, trained by gradients; see `Method`."""

    name = "gcn"
    sums = True

    def is_random(self, config: RunConfig) -> bool:
        """Chance gives the first embeddings, the order and the negatives."""
        del config
        return True

    def identity(self, config: RunConfig) -> dict[str, Any]:
        """The model, the loss and how the optimizer goes."""
        whole = to_json(config)
        fields = {name: whole[name] for name in _SCHEDULE}
        if config.lr_schedule != "constant":
            fields["epochs"] = config.epochs  # the schedule ends at the last epoch
        for group in ("model", "loss"):
            fields |= fields_of(group, whole)
        return fields

    def ranking(self, config: RunConfig) -> dict[str, Any]:
        """The walks, and how much the items' lengths count."""
        whole = to_json(config)
        return fields_of("walks", whole) | fields_of("ranking", whole)

    def frozen(self, config: RunConfig) -> dict[str, Any]:
        """The number of epochs."""
        return {"epochs": config.epochs}

    def owns(self, field: str, config: RunConfig) -> bool:
        """All that isn't another method's, the data's or the surroundings'."""
        del config
        return field.split(".")[0] not in _FOREIGN

    def members(self, config: RunConfig) -> tuple[str, ...]:
        """None."""
        del config
        return ()

    def fitting(self, config: RunConfig, train: Interactions, *, copies: int = 1) -> NetworkFitting:
        """Builds the graph and what goes with it.

        Raises:
          UserError: there is nothing to learn from, it doesn't fit the memory, or the kernel
            can't be had here.
        """
        full = check_learnable(train)
        memory = check_memory(config, train, copies=copies)
        setup = build(config, train)
        totals = setup.totals
        shape = (
            f"model: {config.model.layers} layers, {config.model.dim} dimensions, "
            f"{totals.num_users + totals.num_items:,} nodes, {totals.num_edges:,} "
            f"edges, kernel {setup.convolution.sums.kernel}"
            + ("" if setup.mesh is None else f", on {setup.mesh.size} devices")
        )
        warnings: tuple[str, ...] = ()
        if full:
            warnings = (
                f"{full:,} users have listened to every song; nothing can be learnt from them",
            )
        return NetworkFitting(
            config,
            setup,
            notes=(memory, shape),
            warnings=warnings,
        )


def fields_of(group: str, whole: Mapping[str, Any]) -> dict[str, Any]:
    """A group's fields, such as `loss.l2`, of a configuration as nested plain values."""
    return {f"{group}.{name}": value for name, value in whole[group].items()}
