"""From a configuration and the training interactions to the pure parts of a run."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxrec.config import RunConfig
from jaxrec.data.interactions import Interactions
from jaxrec.data.weighting import weigher
from jaxrec.errors import UserError
from jaxrec.gcn import losses
from jaxrec.gcn.convolution import LightGCN
from jaxrec.gcn.dealing import Dealing, specs
from jaxrec.gcn.dealt_table import Dealt
from jaxrec.gcn.edges import Edges, Totals, totals_of
from jaxrec.gcn.embeddings import Embeddings
from jaxrec.gcn.graph import BipartiteGraph, host_graph
from jaxrec.gcn.mesh import OWN, mesh_of, on_devices
from jaxrec.gcn.message_passing import prepared
from jaxrec.gcn.training_graph import ItemMass, TrainingGraph, cumulative_mass, mass_before
from jaxrec.models import bpr_vectors, own_vectors
from jaxrec.models.bpr_vectors import BprVector
from jaxrec.models.fold_in import MessageSum
from jaxrec.models.model import Array
from jaxrec.models.own_vectors import OwnVector, SoftmaxDirection, stand_ins
from jaxrec.train.checks import check_learnable
from jaxrec.train.loop import INIT, Training, train_epoch
from jaxrec.train.parts import adam, convolution_of, objective_of
from jaxrec.train.step import TrainState, create_state


@functools.partial(jax.jit, static_argnames=("map_of", "mesh"))
def _over_graph(
    map_of: Callable[[BipartiteGraph, Embeddings], Any],
    data: TrainingGraph,
    params: Embeddings,
    mesh: Mesh | None,
) -> Any:
    """What a function of the graph and layer 0 gives, with a row for each of their rows."""

    def mapped(data: TrainingGraph, params: Embeddings) -> Any:
        return map_of(data.graph, params)

    return on_devices(mapped, mesh, takes=(specs(data), OWN), gives=OWN)(data, params)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Setup(Training):
    """What training and ranking need beside the state.

    Attributes:
      edges: what `data` was made of.
      totals: what they add up to.
      convolution: the objective's, by which the final embeddings are made.
      dim: length of an embedding.
      init_stddev: standard deviation of the initial embeddings.
      dealing: where the rows of `data` and of the state are; None where one device has them all.
    """

    edges: Edges
    totals: Totals
    convolution: LightGCN
    dim: int
    init_stddev: float
    dealing: Dealing | None = None

    def fresh_state(self) -> TrainState:
        """The state at step 0, a function of the seed."""
        state = self.whole_state()
        return state if self.dealing is None else self.dealing.placed(state)

    def awaited_state(self) -> TrainState:
        """Shapes and types of a state in the data's order; of what is dealt `Awaited`."""
        shapes: TrainState = jax.eval_shape(self.whole_state)
        return shapes if self.dealing is None else self.dealing.awaited(shapes)

    def whole_state(self) -> TrainState:
        """As `fresh_state`, in the data's order and on one device."""
        key = jax.random.fold_in(jax.random.key(self.seed), INIT)
        return create_state(key, self.totals, self.optimizer, dim=self.dim, stddev=self.init_stddev)

    def placed(self, state: Any) -> Any:
        """A state, or a part of one, on the device or dealt to the devices.

        A copy, but for a table that is `Dealt` already.
        """
        if self.dealing is None:
            return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), state)
        return self.dealing.placed(state)

    def in_order(self, state: Any) -> Any:
        """A state, or a part of one, in the data's order, whoever has its rows."""
        return state if self.dealing is None else self.dealing.in_order(state)

    def dealt(self, state: Any) -> Any:
        """As `in_order`, but a table that is dealt is `Dealt`: it stays where it is until read."""
        return state if self.dealing is None else self.dealing.dealt(state)

    def train_epoch(
        self, state: TrainState, epoch: int, *, on_steps: Callable[[int, float], None], **run: Any
    ) -> tuple[TrainState, float]:
        """`loop.train_epoch` with these parts; `run` is what depends on the run's progress."""
        return train_epoch(self, state, epoch, on_steps=on_steps, **run)

    def whole_graph(self) -> BipartiteGraph:
        """The training graph with all of its edges, made anew where devices share it."""
        return self.data.graph if self.dealing is None else host_graph(self.edges, self.totals)

    def final_embeddings(self, params: Embeddings) -> Embeddings:
        """Layer 0 propagated over the training graph, in the data's order."""
        return self.in_order(_over_graph(self.convolution, self.data, params, self.mesh))

    def item_messages(self, params: Embeddings) -> Array:
        """`LightGCN.item_messages` over the training graph: [num_items, dim] float32."""
        messages = _over_graph(self.convolution.item_messages, self.data, params, self.mesh)
        if self.dealing is None:
            return messages
        return np.asarray(Dealt(messages, self.dealing.item, self.dealing.mesh))

    def fold_in(self, params: Embeddings) -> MessageSum:
        """How users who weren't there get a vector."""
        messages = np.asarray(self.item_messages(params))
        exponent = self.convolution.receiver_exponent
        return MessageSum(messages, exponent, self._own_vector(params))

    def _own_vector(self, params: Embeddings) -> OwnVector | None:
        """How own vectors are solved for by the loss; None by one that isn't known here."""
        there = self.totals.user.edges > 0
        user = np.asarray(self.in_order(params).user)
        squares = np.square(user[there]).sum(axis=1, dtype=np.float64)
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
        each = np.ones(self.totals.num_items) if mass is None else np.diff(mass.cumulative)
        return np.where(self.totals.item.edges > 0, each, 0.0)


def build(config: RunConfig, train: Interactions) -> Setup:
    """Builds the graph and what goes with it.

    Raises:
      UserError: the training part has nothing to learn from, or is too large to be numbered; or
        the kernel or the devices can't be had here.
    """
    check_learnable(train)
    mesh = mesh_of(config.mesh.devices)
    weights_of = weigher(train, config.learnt_weights)
    edges = Edges(train.user, train.item, weights_of, train.num_users, train.num_items)
    try:
        totals = totals_of(edges)
    except ValueError as error:
        raise UserError(f"config.data.source is {config.data.source!r}: {error}") from error
    cumulative = None
    if config.loss.sampler == "popularity":
        cumulative = cumulative_mass(totals.item.edges, alpha=config.loss.popularity_alpha)
    convolution = convolution_of(config, mesh)
    dealing = None
    if mesh is None:
        graph, mass = host_graph(edges, totals), None
        if cumulative is not None:
            before = mass_before(totals.first_edge, np.asarray(graph.to_users.senders), cumulative)
            mass = ItemMass(jnp.asarray(cumulative), jnp.asarray(before))
        graph = prepared(jax.tree.map(jnp.asarray, graph), convolution.sums.kernel)
        data = TrainingGraph(graph, mass)
    else:
        dealing = Dealing.of(totals, mesh)
        data = dealing.data(edges, totals, cumulative)
    objective = objective_of(config, convolution, mesh)
    objective, batches = objective.with_batches(totals, config.batch_size)
    steps = batches.num_steps
    optimizer = adam(
        config.lr,
        config.lr_schedule,
        math.ceil(config.warmup_epochs * steps),
        config.epochs * steps,
    )
    return Setup(
        data=data,
        objective=objective,
        batches=batches,
        optimizer=optimizer,
        seed=config.seed,
        mesh=mesh,
        edges=edges,
        totals=totals,
        convolution=convolution,
        dim=config.model.dim,
        init_stddev=config.model.init_stddev,
        dealing=dealing,
    )
