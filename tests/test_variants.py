"""The variants that the benchmark tries are what their formulas say, and can be learnt with."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from benchmarks.variant_graphs import Changed, drop_edges, learned_layers, weighed, with_noise
from benchmarks.variant_losses import hardest, lambert_w, softmax_at_k, weighed_by_activity
from benchmarks.variants import VARIANTS, Variant, prepare
from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Interactions
from jaxrec.gcn.convolution import LightGCN
from jaxrec.gcn.losses import Softmax, UserScores
from jaxrec.gcn.message_passing import Sums
from jaxrec.gcn.training_graph import TrainingGraph
from jaxrec.train.loop import Training
from tests.configurations import config_with
from tests.embeddings import random_embeddings, stacked
from tests.graphs import graph_from_dense

RATINGS = (np.random.default_rng(0).random((24, 18)) < 0.35) * 1.0
USER, ITEM = np.nonzero(RATINGS)
GRAPH = graph_from_dense(RATINGS)
TRAIN = Interactions(
    user=USER.astype(np.int32),
    item=ITEM.astype(np.int32),
    plays=np.ones(len(USER)),
    timestamp=None,
    users=IdMap(np.arange(24)),
    items=IdMap(np.arange(18)),
)
RECIPE = config_with(
    batch_size=64,
    loss__name="softmax",
    loss__negatives=32,
    loss__sampler="popularity",
    loss__popularity_alpha=1.0,
    loss__temperature=0.2,
    loss__l2=0.0,
    model__layers=1,
    model__dim=4,
    model__init_stddev=0.3,
    model__kernel="csr",
)
KEY = jax.random.key(0)
LIGHT = LightGCN(3, Sums("csr"))


def prepared(variant: Variant) -> tuple[Training, Any, jax.Array]:
    """What it trains with, its parameters, and a batch."""
    training, params = prepare(variant, RECIPE, TRAIN)
    return training, params, training.batches.order(KEY)[0]


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_has_a_finite_loss_and_a_gradient(name: str) -> None:
    variant = VARIANTS[name]
    small = {"batch_size": 64, "model.init_stddev": 0.3}
    training, params, batch = prepared(variant._replace(fields={**variant.fields, **small}))
    assert hash(training.objective) is not None  # it is static under jit
    # Not jitted: most operations are compiled once for all variants.
    loss, gradient = jax.value_and_grad(training.objective)(params, training.data, batch, KEY)
    assert np.isfinite(loss)
    assert all(np.isfinite(part).all() and np.any(part) for part in jax.tree.leaves(gradient))
    final = training.objective.convolution(training.data.graph, params)
    assert stacked(final).shape == (24 + 18, 4)


def test_lambert_w_is_scipys() -> None:
    x = np.concatenate([np.linspace(-0.36, 1, 30), np.logspace(0, 3, 20)])
    np.testing.assert_allclose(lambert_w(jnp.asarray(x)), special.lambertw(x).real, atol=1e-4)


def test_dns_takes_the_candidate_that_scores_best() -> None:
    positive, negative = jnp.array([1.0, 0.0]), jnp.array([[0.0, 2.0, 1.0], [-1.0, -3.0, -2.0]])
    loss = hardest(positive, negative, row_weights=jnp.ones(2))
    assert float(loss) == pytest.approx(np.mean(np.log1p(np.exp([2.0 - 1.0, -1.0 - 0.0]))))


def test_weights_of_edges_by_hand() -> None:
    scores = UserScores(
        positive=jnp.array([0.5, 0.1, 0.9, 0.0]),
        negative=jnp.array([[0.2, 0.3], [0.4, 0.6]]),
        log_weights=jnp.zeros((2, 2)),
        row=jnp.array([0, 0, 1, 1]),
        is_edge=jnp.array([True, True, True, False]),
    )
    softmax = Softmax(1.0)
    each, _ = softmax.of_edges(scores)
    alike = weighed_by_activity(softmax, exponent=1.0)(scores)
    assert float(alike) == pytest.approx(float((each[0] + each[1]) / 2 + each[2]) / 2, rel=1e-6)
    # The second best of .5, .3, .2, .1 is .3, of .9, .6, .4 it is .6.
    weights = special.expit((np.array([0.5, 0.1, 0.9]) - [0.3, 0.3, 0.6]) / 0.2)
    near = softmax_at_k(softmax, k=2)(scores)
    assert float(near) == pytest.approx(np.average(each[:3], weights=weights), rel=1e-5)


def test_layers_with_equal_weights_and_no_noise_are_summed_as_the_model_does() -> None:
    params = random_embeddings(24, 18, dim=4)
    expected = stacked(LIGHT(GRAPH, params))
    learned = learned_layers(LIGHT)(GRAPH, weighed(params, num_layers=3))
    np.testing.assert_allclose(stacked(learned), expected, rtol=1e-4, atol=1e-6)
    noisy = with_noise(LIGHT, KEY)
    np.testing.assert_array_equal(stacked(noisy.layers(GRAPH, params)[0]), stacked(params))
    moved = stacked(noisy.layers(GRAPH, params)[1]) - stacked(LIGHT.next_layer(GRAPH, params))
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 0.2, rtol=1e-4)


def test_edge_dropout_thins_both_orientations_alike() -> None:
    def matrix(data: TrainingGraph) -> tuple[np.ndarray, np.ndarray]:
        users, items = np.zeros(RATINGS.shape), np.zeros(RATINGS.T.shape)
        users[USER, ITEM] = data.graph.to_users.weights
        items[np.nonzero(RATINGS.T)] = data.graph.to_items.weights
        return users, items

    whole, _ = matrix(TrainingGraph(GRAPH))
    seen = []

    def objective(params: object, data: TrainingGraph, batch: object, key: object) -> jax.Array:
        seen.append(matrix(data))
        return jnp.float32(0)

    Changed(objective, drop_edges(GRAPH, 0.2))(None, TrainingGraph(GRAPH), jnp.zeros(1), KEY)
    users, items = seen[0]
    np.testing.assert_array_equal(users, items.T)
    kept = users[USER, ITEM] > 0
    assert 0.6 < kept.mean() < 0.95
    np.testing.assert_allclose(users[USER, ITEM][kept], whole[USER, ITEM][kept] / 0.8, rtol=1e-6)
