"""The variants that the benchmark tries are what their formulas say, and can be learnt with."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy import special

from benchmarks.variants import VARIANTS, Recipe, Variant, _lambert_w, recipe_of
from jaxrec.data.interactions import IdMap, Interactions
from jaxrec.gcn import model
from jaxrec.train.setup import build
from jaxrec.train.step import batch_loss
from tests.runs import config_with

RATINGS = (np.random.default_rng(0).random((24, 18)) < 0.35) * 1.0
USER, ITEM = np.nonzero(RATINGS)
TRAIN = Interactions(
    user=USER.astype(np.int32),
    item=ITEM.astype(np.int32),
    plays=np.ones(len(USER)),
    timestamp=None,
    users=IdMap(np.arange(24)),
    items=IdMap(np.arange(18)),
)
RECIPE = Recipe(
    loss="softmax",
    batch_size=64,
    lr=0.01,
    stddev=0.3,
    layers=1,
    dim=4,
    num_negatives=32,
    alpha=1.0,
    l2=0.0,
    temperature=0.2,
    negative_weight=1.0,
)
KEY = jax.random.key(0)


def variant(**changes: object) -> Variant:
    return Variant(dataclasses.replace(RECIPE, **changes), TRAIN)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_has_a_finite_loss_and_a_gradient(name: str) -> None:
    changes = VARIANTS[name][0]
    small = {"batch_size": 64, "num_negatives": min(32, changes.get("num_negatives", 32))}
    made = variant(**(changes | small))
    params = made.init(KEY)
    batch = made.batches.order(KEY)[0]
    # Not jitted: most operations are compiled once for all variants.
    loss, gradient = jax.value_and_grad(made.loss)(params, batch, KEY)
    assert np.isfinite(loss)
    assert all(np.isfinite(part).all() for part in jax.tree.leaves(gradient))
    assert np.any(gradient["user"]) and np.any(gradient["item"])


def test_lambert_w_is_scipys() -> None:
    x = np.concatenate([np.linspace(-0.36, 1, 30), np.logspace(0, 3, 20)])
    np.testing.assert_allclose(_lambert_w(jnp.asarray(x)), special.lambertw(x).real, atol=1e-4)


def test_the_asymmetric_graph_and_its_derivative() -> None:
    made = variant(receiver=0.6, sender=-0.1, layer_zero=0.2, layers=2, unit_layers=True)
    params = made.init(KEY)
    listens, listeners = RATINGS.sum(1), RATINGS.sum(0)

    def dense(side: str) -> np.ndarray:
        degrees = (listens, listeners) if side == "user" else (listeners, listens)
        ratings = RATINGS if side == "user" else RATINGS.T
        return degrees[0][:, None] ** -0.6 * ratings * degrees[1][None, :] ** 0.1

    user, item = (np.asarray(params[side]) for side in ("user", "item"))
    layers = [user]
    for _ in range(2):
        user, item = np.asarray(model.unit(user)), np.asarray(model.unit(item))
        user, item = dense("user") @ item, dense("item") @ user
        layers.append(user)
    (final, _), _ = made.final(params, None)
    np.testing.assert_allclose(
        final, 0.2 * layers[0] + 0.4 * (layers[1] + layers[2]), rtol=1e-4, atol=1e-5
    )
    check_grads(lambda p: made.final(p, None)[0], (params,), order=1, modes=["rev"], rtol=0.05)


def test_the_recipe_is_jaxrecs_own_loss() -> None:
    """Without changes a variant computes what `train_step` does, on the same draws."""
    config = config_with(
        batch_size=64,
        loss__name="softmax",
        loss__negatives=32,
        loss__sampler="popularity",
        loss__popularity_alpha=1.0,
        loss__l2=0.01,
        model__layers=2,
        model__dim=4,
    )
    setup = build(config, TRAIN)
    params = setup.fresh_state().params
    batch = setup.batches.order(KEY)[0]
    made = Variant(recipe_of(config), TRAIN)
    ours = batch_loss(params, setup.graph, batch, KEY, setup.mass, setup.settings)
    theirs = made.loss({"user": params.user, "item": params.item}, batch, KEY)
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)


def test_dns_takes_the_candidate_that_scores_best() -> None:
    made = variant(loss="bpr", hard="dns", num_negatives=12)
    plain = variant(loss="bpr", num_negatives=12)
    params = made.init(KEY)
    batch = made.batches.order(KEY)[0]
    assert float(made.loss(params, batch, KEY)) > float(plain.loss(params, batch, KEY))


def test_symmetric_variants_propagate_as_the_model_does() -> None:
    made = variant(layers=3)
    params = made.init(KEY)
    (user, _), _ = made.final(params, None)
    expected = model.propagate(made.graph, model.Embeddings(**params), 3, made.kernel)
    np.testing.assert_allclose(user, expected.user, rtol=1e-4, atol=1e-6)
