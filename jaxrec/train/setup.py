"""From a configuration and the training interactions to the pure parts of a run."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

from jaxrec.config import RunConfig
from jaxrec.data.interactions import Interactions, edge_weight
from jaxrec.errors import UserError
from jaxrec.gcn.batches import Batches, EdgeBatches, ListenerBatches
from jaxrec.gcn.graph import BipartiteGraph, build_graph
from jaxrec.gcn.message_passing import choose_kernel
from jaxrec.gcn.model import Convolution, Embeddings
from jaxrec.gcn.negatives import ItemMass, popularity_mass
from jaxrec.train.loop import INIT, train_epoch
from jaxrec.train.memory import available_bytes, check_fits, estimate_bytes
from jaxrec.train.step import StepSettings, TrainState, create_state, learning_rate

_propagate = jax.jit(Convolution.__call__, static_argnums=0)


@dataclasses.dataclass(frozen=True, eq=False)
class Setup:
    """What training and ranking need beside the state.

    Attributes:
      graph: the training graph.
      mass: how likely each song is as a negative; None for uniform.
      batches: how an epoch is cut into batches.
      settings: the step's static settings.
      optimizer: Adam with the configured learning rate.
      dim: length of an embedding.
      init_stddev: standard deviation of the initial embeddings.
      seed: the run's seed.
    """

    graph: BipartiteGraph
    mass: ItemMass | None
    batches: Batches
    settings: StepSettings
    optimizer: optax.GradientTransformation
    dim: int
    init_stddev: float
    seed: int

    def fresh_state(self) -> TrainState:
        """The state at step 0, a function of the seed."""
        key = jax.random.fold_in(jax.random.key(self.seed), INIT)
        return create_state(key, self.graph, self.optimizer, dim=self.dim, stddev=self.init_stddev)

    def abstract_state(self) -> TrainState:
        """Shapes and types of a state, without its memory."""
        return jax.eval_shape(self.fresh_state)

    def train_epoch(
        self, state: TrainState, epoch: int, *, on_steps: Callable[[int, float], None], **run: Any
    ) -> tuple[TrainState, float]:
        """`loop.train_epoch` with these parts; `run` is what depends on the run's progress."""
        return train_epoch(
            state,
            self.graph,
            self.mass,
            epoch=epoch,
            seed=self.seed,
            batches=self.batches,
            settings=self.settings,
            optimizer=self.optimizer,
            on_steps=on_steps,
            **run,
        )

    def final_embeddings(self, params: Embeddings) -> Embeddings:
        """Layer 0 propagated over the training graph."""
        return _propagate(self.settings.convolution, self.graph, params)


def build(config: RunConfig, train: Interactions) -> Setup:
    """Builds the graph and what goes with it.

    Raises:
      UserError: the training part has nothing to learn from, or is too large to be numbered; or
        the kernel can't be had here.
    """
    check_learnable(train)
    try:
        graph = build_graph(
            train.user,
            train.item,
            edge_weight(train.plays, config.data.weight),
            num_users=train.num_users,
            num_items=train.num_items,
        )
    except ValueError as error:
        raise UserError(f"config.data.source is {config.data.source!r}: {error}") from error
    mass = None
    if config.loss.sampler == "popularity":
        mass = popularity_mass(
            graph.to_users, num_items=train.num_items, alpha=config.loss.popularity_alpha
        )
    batches: Batches = EdgeBatches(graph.num_edges, min(config.batch_size, graph.num_edges))
    max_edges = 0
    if config.loss.name == "softmax":
        batches = ListenerBatches.of(graph.to_users, batch_size=config.batch_size)
        max_edges = batches.max_edges
    steps = batches.num_steps
    optimizer = _adam(
        config.lr,
        config.lr_schedule,
        math.ceil(config.warmup_epochs * steps),
        config.epochs * steps,
    )
    settings = StepSettings(
        convolution=Convolution(
            num_layers=config.model.layers,
            kernel=_kernel(config),
            dtype=config.model.dtype,
            receiver_exponent=config.model.receiver_exponent,
            sender_exponent=config.model.sender_exponent,
            unit_layers=config.model.unit_layers,
            layer_zero=config.model.layer_zero,
        ),
        loss=config.loss.name,
        num_negatives=config.loss.negatives,
        l2=config.loss.l2,
        temperature=config.loss.temperature,
        negative_weight=config.loss.negative_weight,
        max_edges=max_edges,
    )
    return Setup(
        graph=graph,
        mass=mass,
        batches=batches,
        settings=settings,
        optimizer=optimizer,
        dim=config.model.dim,
        init_stddev=config.model.init_stddev,
        seed=config.seed,
    )


def _kernel(config: RunConfig) -> str:
    try:
        return choose_kernel(config.model.kernel, jax.default_backend())
    except ValueError as error:
        raise UserError(f"config.model.{error}; expected auto, which takes another") from error


@functools.lru_cache(maxsize=16)
def _adam(
    peak: float, schedule: str, warmup_steps: int, total_steps: int
) -> optax.GradientTransformation:
    """Adam; the same object for the same settings, so that the step is traced once for all runs."""
    return optax.adam(
        learning_rate(
            peak=peak, schedule=schedule, warmup_steps=warmup_steps, total_steps=total_steps
        )
    )


def check_learnable(train: Interactions) -> int:
    """Counts the users who have listened to every song: no negative exists for them.

    Returns:
      How many there are; their edges weigh nothing in the loss.

    Raises:
      UserError: there is no other user, so that nothing can be learnt.
    """
    listened = np.diff(train.user_offsets())
    full = int((listened == train.num_items).sum())
    if not ((listened > 0) & (listened < train.num_items)).any():
        raise UserError(
            f"data: each of the {full:,} users has listened to all {train.num_items:,} songs, so "
            "no song can be told from another; expected at least one user who has not"
        )
    return full


def check_memory(config: RunConfig, train: Interactions, *, copies: int = 1) -> str:
    """Refuses what can't fit the device.

    Args:
      config: the run's.
      train: what it learns from.
      copies: models held at once.

    Returns:
      A line about how much is needed and free.

    Raises:
      UserError: the memory doesn't suffice, or the kernel can't be had here.
    """
    device = jax.devices()[0]
    needed = estimate_bytes(
        num_users=train.num_users,
        num_items=train.num_items,
        num_edges=len(train),
        dim=config.model.dim,
        layers=config.model.layers,
        batch_size=config.batch_size,
        negatives=config.loss.negatives,
        kernel=_kernel(config),
        loss=config.loss.name,
        unit_layers=config.model.unit_layers,
        copies=copies,
    )
    available = available_bytes(device)
    check_fits(needed, available, dim=config.model.dim, batch_size=config.batch_size)
    free = "" if available is None else f" of {available / 2**30:,.1f} GiB free"
    return f"memory: training needs about {needed / 2**20:,.0f} MiB{free}"
