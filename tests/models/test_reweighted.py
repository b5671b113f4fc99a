"""Histories weighed otherwise than learnt: by linearity, without learning anew."""

import numpy as np
import pytest

from jaxrec.data.weighting import Weighting
from jaxrec.models.blend import blend
from jaxrec.models.factors import Factors
from jaxrec.models.fold_in import MessageSum
from jaxrec.models.histories import Histories
from jaxrec.models.model import Model
from tests.models.problems import as_interactions, fit_model, random_plays

PLAYS = random_plays(2, users=30, items=20)
TRAIN = as_interactions(PLAYS)
KNOWN = np.ones(20, bool)


def network(unit_users: bool = False) -> Factors:
    """Vectors of their own beside a sum of messages over binary histories, as a network has."""
    random = np.random.default_rng(0)
    own, messages, item = (
        random.normal(size=(size, 4)).astype(np.float32) for size in (30, 20, 20)
    )
    fold_in = MessageSum(messages, 0.5)
    sums = fold_in.vectors(Histories.of_all(TRAIN, "binary"), item)
    return Factors(own + sums, item, fold_in, unit_users)


def reweighed(learnt: str = "binary", weight: str = "raw") -> Histories:
    return Histories.of_all(TRAIN, weight, learnt=Weighting(learnt))


@pytest.mark.parametrize("unit_users", [False, True])
def test_the_networks_own_part_stays_and_its_sum_is_shared_out_anew(unit_users: bool) -> None:
    model = network(unit_users)
    plain = Histories.of_all(TRAIN, "binary")
    own = network().user - model.fold_in.vectors(plain, model.item)
    shares = PLAYS / PLAYS.sum(1, keepdims=True) * (PLAYS > 0).sum(1, keepdims=True)
    degree = (PLAYS > 0).sum(1, keepdims=True)
    expected = own + shares @ model.fold_in.messages / np.sqrt(degree)
    if unit_users:
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(model.user_vectors(reweighed()), expected, rtol=0, atol=1e-5)


def test_the_same_weights_change_no_bit() -> None:
    histories = reweighed(weight="binary")
    assert histories.learnt is None and histories.as_learnt() is histories
    np.testing.assert_array_equal(network().user_vectors(histories), network().user)


def test_as_learnt_is_what_was_learnt() -> None:
    found, plain = reweighed().as_learnt(), Histories.of_all(TRAIN, "binary")
    np.testing.assert_array_equal(found.weights, plain.weights)
    np.testing.assert_array_equal(found.items, plain.items)
    scaled = reweighed().matrix().sum(axis=1)
    np.testing.assert_allclose(scaled, plain.matrix().sum(axis=1), rtol=1e-6)


def test_ials_solves_for_the_other_weights() -> None:
    settings = {"dim": 4, "iterations": 30, "unobserved_weight": 0.1, "l2": 0.01}
    settings |= {"l2_exponent": 0.0, "init_stddev": 0.1}
    model = fit_model("ials", PLAYS, **settings)
    assert isinstance(model, Factors)
    moved = model.user_vectors(reweighed())
    solved = model.fold_in.vectors(reweighed(), model.item)
    np.testing.assert_allclose(moved, solved, rtol=0, atol=0.02 * np.abs(solved).max())
    assert np.abs(moved - model.user).max() > 0.05 * np.abs(solved).max()


@pytest.mark.parametrize(
    "members",
    [
        lambda: [network(), fit_model("most_popular", PLAYS)],
        lambda: [network(True), network()],
    ],
    ids=["popularity", "two networks"],
)
def test_a_blend_moves_as_its_members_do(members) -> None:
    models: list[Model] = members()
    whole = blend(models, [1.0, 0.5], KNOWN)
    assert isinstance(whole, Factors)
    expected = np.zeros((30, 20))
    for model, weight in zip(models, (1.0, 0.5), strict=True):
        scores = np.asarray(model.scores(reweighed()))
        expected += weight * (scores - scores.mean(1, keepdims=True)) / scores.std(1, keepdims=True)
    found = np.asarray(whole.scores(reweighed()))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_contributions_add_up_with_other_weights() -> None:
    items = np.arange(20, dtype=np.int32)
    for model in (network(), network(True), blend([network(), network(True)], [1, 2], KNOWN)):
        for row in (0, 7):
            history = reweighed().take(np.array([row]))
            scores = np.asarray(model.scores(history))[0]
            found = model.contributions(history, items).total()
            np.testing.assert_allclose(found, scores, rtol=0, atol=1e-5 * np.abs(scores).max())
