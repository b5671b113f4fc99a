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
from jaxrec.data.interactions import Interactions
from jaxrec.data.weighting import weigh
from jaxrec.errors import UserError
from jaxrec.gcn import losses
from jaxrec.gcn.convolution import LightGCN
from jaxrec.gcn.embeddings import Embeddings
from jaxrec.gcn.graph import BipartiteGraph, build_graph
from jaxrec.gcn.message_passing import Sums, choose_kernel, prepared
from jaxrec.gcn.objectives import EdgeObjective, Objective, UserObjective
from jaxrec.gcn.training_graph import TrainingGraph, popularity_mass
from jaxrec.models import bpr_vectors, own_vectors
from jaxrec.models.bpr_vectors import BprVector
from jaxrec.models.fold_in import MessageSum
from jaxrec.models.own_vectors import OwnVector, SoftmaxDirection, stand_ins
from jaxrec.train.loop import INIT, Training, train_epoch
from jaxrec.train.memory import available_bytes, check_fits, estimate_bytes
from jaxrec.train.step import TrainState, create_state, learning_rate

_convolve = jax.jit(LightGCN.__call__, static_argnums=0)
_messages = jax.jit(LightGCN.item_messages, static_argnums=0)


@dataclasses.dataclass(frozen=True, eq=False)
class Setup(Training):
    """What training and ranking need beside the state.

    Attributes:
      convolution: the objective's, by which the final embeddings are made.
      dim: length of an embedding.
      init_stddev: standard deviation of the initial embeddings.
    """

    convolution: LightGCN
    dim: int
    init_stddev: float

    @property
    def graph(self) -> BipartiteGraph:
        """The training graph."""
        return self.data.graph

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
        return train_epoch(self, state, epoch, on_steps=on_steps, **run)

    def final_embeddings(self, params: Embeddings) -> Embeddings:
        """Layer 0 propagated over the training graph."""
        return _convolve(self.convolution, self.graph, params)

    def item_messages(self, params: Embeddings) -> jax.Array:
        """`LightGCN.item_messages` over the training graph: [num_items, dim] float32."""
        return _messages(self.convolution, self.graph, params)

    def fold_in(self, params: Embeddings) -> MessageSum:
        """How users who weren't there get a vector."""
        messages = np.asarray(self.item_messages(params))
        exponent = self.convolution.receiver_exponent
        return MessageSum(messages, exponent, self._own_vector(params))

    def _own_vector(self, params: Embeddings) -> OwnVector | None:
        """How own vectors are solved for by the loss; None by one that isn't known here."""
        there = np.asarray(self.graph.to_users.degrees) > 0
        squares = np.square(np.asarray(params.user)[there]).sum(axis=1, dtype=np.float64)
        length = self.convolution.own_weight * float(np.sqrt(squares.mean()))
        loss = getattr(self.objective, "loss", None)
        if isinstance(loss, losses.Softmax):
            compared = stand_ins(self._likelihood(), own_vectors.MOST_COMPARED)
            return SoftmaxDirection(*compared, loss.temperature, loss.negative_weight, length)
        if loss is losses.bpr and length > 0:
            compared = stand_ins(self._likelihood(), bpr_vectors.MOST_COMPARED)
            return BprVector(*compared, length)
        return None

    def _likelihood(self) -> np.ndarray:
        """How likely each item is as a negative, those that train doesn't know left out."""
        mass = self.data.mass
        each = np.ones(self.graph.num_items) if mass is None else np.diff(mass.cumulative)
        return np.where(np.asarray(self.graph.to_items.degrees) > 0, each, 0.0)


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
            weigh(train, config.learnt_weights),
            num_users=train.num_users,
            num_items=train.num_items,
        )
    except ValueError as error:
        raise UserError(f"config.data.source is {config.data.source!r}: {error}") from error
    mass = None
    if config.loss.sampler == "popularity":
        mass = popularity_mass(graph, alpha=config.loss.popularity_alpha)
    convolution = _convolution(config)
    graph = prepared(graph, convolution.sums.kernel)
    objective, batches = _objective(config, convolution).with_batches(graph, config.batch_size)
    steps = batches.num_steps
    optimizer = _adam(
        config.lr,
        config.lr_schedule,
        math.ceil(config.warmup_epochs * steps),
        config.epochs * steps,
    )
    return Setup(
        data=TrainingGraph(graph, mass),
        objective=objective,
        batches=batches,
        optimizer=optimizer,
        seed=config.seed,
        convolution=convolution,
        dim=config.model.dim,
        init_stddev=config.model.init_stddev,
    )


def _convolution(config: RunConfig) -> LightGCN:
    return LightGCN(
        num_layers=config.model.layers,
        sums=Sums(_kernel(config), config.model.dtype),
        receiver_exponent=config.model.receiver_exponent,
        sender_exponent=config.model.sender_exponent,
        unit_layers=config.model.unit_layers,
        layer_zero=config.model.layer_zero,
    )


def _objective(config: RunConfig, convolution: LightGCN) -> Objective:
    """What the name of a loss stands for: the one place that knows these names."""
    loss = config.loss
    match loss.name:
        case "bpr":
            return EdgeObjective(convolution, loss.negatives, loss.l2)
        case "softmax":
            ranking = losses.Softmax(loss.temperature, loss.negative_weight)
            return UserObjective(convolution, loss.negatives, loss.l2, ranking)


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
    """Counts the users who have an interaction with every item: no negative exists for them.

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
    convolution = _convolution(config)
    needed = estimate_bytes(
        num_users=train.num_users,
        num_items=train.num_items,
        num_edges=len(train),
        dim=config.model.dim,
        batch_size=config.batch_size,
        convolution=convolution,
        objective=_objective(config, convolution),
        copies=copies,
    )
    available = available_bytes(device)
    check_fits(needed, available, dim=config.model.dim, batch_size=config.batch_size)
    free = "" if available is None else f" of {available / 2**30:,.1f} GiB free"
    return f"memory: training needs about {needed / 2**20:,.0f} MiB{free}"
