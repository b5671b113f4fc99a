"""Convolutions, starts and changes of each step's graph or objective, as plug-ins of a step."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from flax import struct

from benchmarks.variant_losses import hardest
from jaxrec.gcn.batches import Batches, interactions_of
from jaxrec.gcn.convolution import Convolution, LightGCN
from jaxrec.gcn.edges import GraphSize
from jaxrec.gcn.embeddings import EVERY_ROW, Embeddings, Masks, unit
from jaxrec.gcn.graph import BipartiteGraph
from jaxrec.gcn.training_graph import TrainingGraph


@struct.dataclass
class WeighedEmbeddings(Embeddings):
    """Layer 0, and the logits of the layers' weights, [num_layers + 1] float32."""

    logits: jax.Array


def weighed(params: Embeddings, *, num_layers: int) -> WeighedEmbeddings:
    """Layer 0 with equal weights for all layers."""
    return WeighedEmbeddings(params.user, params.item, jnp.zeros(num_layers + 1))


@dataclasses.dataclass(frozen=True)
class LayerSum(Convolution):
    """The layers of `base`, each changed when it is made, summed with weights.

    Attributes:
      base: what makes a layer of the one before.
      weights: of the parameters, a weight for each layer.
      change: of a layer's number and the layer, what takes its place.
    """

    base: LightGCN
    weights: Callable[[Any], Any]
    change: Callable[[int, Embeddings], Embeddings] = lambda number, layer: layer

    def layers(self, graph: BipartiteGraph, params: Any) -> list[Embeddings]:
        """Layers 0 to L."""
        layers = [Embeddings(params.user, params.item)]
        for number in range(self.base.num_layers):
            layers.append(self.change(number, self.base.next_layer(graph, layers[-1])))
        return layers

    def __call__(self, graph: BipartiteGraph, params: Any, read: Masks = EVERY_ROW) -> Embeddings:
        """All rows of the final embeddings."""
        return jax.tree.map(
            lambda *layers: sum(w * x for w, x in zip(self.weights(params), layers, strict=True)),
            *self.layers(graph, params),
        )


def learned_layers(base: LightGCN) -> LayerSum:
    """The layers' weights are learnt, a softmax; parameters are `WeighedEmbeddings`."""
    return LayerSum(base, lambda params: list(jax.nn.softmax(params.logits)))


def with_noise(base: LightGCN, key: jax.Array) -> LayerSum:
    """Noise of length .2 is added to each layer (XSimGCL)."""

    def shaken(x: jax.Array, key: jax.Array) -> jax.Array:
        return x + 0.2 * jnp.sign(x) * unit(jax.random.uniform(key, x.shape))

    def change(number: int, layer: Embeddings) -> Embeddings:
        user_key, item_key = jax.random.split(jax.random.fold_in(key, number))
        return Embeddings(shaken(layer.user, user_key), shaken(layer.item, item_key))

    weights = [base.own_weight] + [base.layer_weight] * base.num_layers
    return LayerSum(base, lambda params: weights, change)


def singular_vectors(graph: BipartiteGraph, params: Embeddings, stddev: float) -> Embeddings:
    """The leading singular vectors of the normalised matrix, to start from."""
    rows, shape = graph.to_users, (graph.num_users, graph.num_items)
    values = np.asarray(rows.weights, np.float64)
    matrix = scipy.sparse.csr_matrix((values, rows.senders, rows.offsets), shape)
    start = np.random.default_rng(0).normal(size=min(shape))
    left, singular, right = scipy.sparse.linalg.svds(matrix, k=params.user.shape[1], v0=start)
    scaled = (vectors * np.sqrt(singular) for vectors in (left, right.T))
    return Embeddings(*(jnp.asarray(x / x.std() * stddev, jnp.float32) for x in scaled))


Change = Callable[[Any, TrainingGraph, jax.Array], tuple[Callable[..., jax.Array], TrainingGraph]]


@dataclasses.dataclass(frozen=True)
class Changed:
    """An objective that is changed in each step.

    Attributes:
      base: the objective.
      change: makes the step's objective and training graph of `base`, the graph and a key.
    """

    base: Any
    change: Change

    @property
    def convolution(self) -> Convolution:
        """The unchanged one."""
        return self.base.convolution

    def with_batches(self, graph: GraphSize, batch_size: int) -> tuple["Changed", Batches]:
        """Those of `base`."""
        base, batches = self.base.with_batches(graph, batch_size)
        return dataclasses.replace(self, base=base), batches

    def __call__(
        self, params: Any, data: TrainingGraph, batch: jax.Array, key: jax.Array
    ) -> jax.Array:
        """The changed objective's loss."""
        objective, data = self.change(self.base, data, jax.random.fold_in(key, 1))
        return objective(params, data, batch, key)


def mix_positives(base: Any, data: TrainingGraph, key: jax.Array) -> tuple[Any, TrainingGraph]:
    """MixGCF: some of the positive is mixed into each candidate, of which the hardest counts."""

    def mixed(positive: jax.Array, negative: jax.Array, *, row_weights: jax.Array) -> jax.Array:
        share = jax.random.uniform(key, negative.shape)  # scores are linear in what is mixed
        candidates = share * positive[:, None] + (1 - share) * negative
        return hardest(positive, candidates, row_weights=row_weights)

    return dataclasses.replace(base, loss=mixed), data


def drop_edges(graph: BipartiteGraph, share: float) -> Change:
    """A share of the edges is left out of each step's graph, the others weigh more."""
    by_item = np.argsort(np.asarray(graph.to_users.senders), kind="stable")

    def change(base: Any, data: TrainingGraph, key: jax.Array) -> tuple[Any, TrainingGraph]:
        users, items = data.graph.to_users, data.graph.to_items
        kept = jax.random.bernoulli(key, 1 - share, (users.num_edges,)) / (1 - share)
        thinned = BipartiteGraph(
            to_users=users.replace(weights=users.weights * kept),
            to_items=items.replace(weights=items.weights * kept[jnp.asarray(by_item)]),
        )
        return base, data.replace(graph=thinned)

    return change


def contrast(weight: float) -> Change:
    """XSimGCL: with noise, a node's final embedding shall be told from others by its layer 1."""

    def change(base: Any, data: TrainingGraph, key: jax.Array) -> tuple[Any, TrainingGraph]:
        return functools.partial(loss, base, with_noise(base.convolution, key)), data

    def loss(base: Any, noisy: LayerSum, params: Any, data: TrainingGraph, *rest: Any) -> jax.Array:
        batch, _ = rest
        total = dataclasses.replace(base, convolution=noisy)(params, data, *rest)
        known = interactions_of(data.graph, batch, max_edges=base.max_edges)
        final, first = noisy(data.graph, params), noisy.layers(data.graph, params)[1]
        some = known.item[:: max(1, len(known.item) // 1024)]
        pairs = ((final.user, first.user, known.user), (final.item, first.item, some))
        for ends, starts, nodes in pairs:
            logits = unit(ends[nodes]) @ unit(starts[nodes]).T / 0.2
            own = jnp.diagonal(logits) - jax.nn.logsumexp(logits, axis=1)
            total -= weight * own.mean()
        return total

    return change
