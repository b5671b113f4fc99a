"""Methods that know when: transitions counted by hand, what is in fashion, own plays."""

import itertools

import numpy as np
import pytest

from jaxrec.data.interactions import Interactions, aggregate
from jaxrec.data.weighting import DAY, Weighting
from jaxrec.errors import UserError
from jaxrec.models import closed_forms
from jaxrec.models.histories import Histories
from jaxrec.models.transitions import sequences
from tests.data.test_weighting import listens_of
from tests.models.problems import as_interactions

TRANSITIONS = {
    "gap_minutes": 30.0,
    "window": 3,
    "fading": 0.5,
    "backwards": 0.0,
    "alpha": 0.0,
    "beta": 0.0,
    "shrink": 0.0,
    "neighbours": 100,
}


def history(events: list[tuple[int, int, int]]) -> Interactions:
    """Of user, item and minute."""
    return aggregate(listens_of([(user, item, 1, 60 * minute) for user, item, minute in events]))


def fit(name: str, train: Interactions, **settings: float) -> np.ndarray:
    model = closed_forms.fit(name, settings, train, seed=0)
    scores = model.scores(Histories.of_items([np.array([i]) for i in range(5)], 5))
    return np.asarray(scores)


def test_transitions_are_counted_within_sessions_and_fade() -> None:
    # One user hears 0 1 2, pauses for 31 minutes, 3 0; another 0 2 0.
    train = history([(0, 0, 0), (0, 1, 9), (0, 2, 20), (0, 3, 51), (0, 0, 80)])
    expected = np.zeros((5, 5))
    expected[0, 1], expected[1, 2], expected[0, 2], expected[3, 0] = 1, 1, 0.5, 1
    np.testing.assert_array_equal(fit("transitions", train, **TRANSITIONS), expected)
    both = fit("transitions", train, **TRANSITIONS | {"backwards": 1.0})
    np.testing.assert_array_equal(both, expected + expected.T)
    other = history([(1, 0, 0), (1, 2, 1), (1, 0, 2)])
    expected = np.zeros((5, 5))
    expected[0, 2], expected[2, 0] = 1, 1  # and none from 0 to itself
    np.testing.assert_array_equal(fit("transitions", other, **TRANSITIONS), expected)


def test_transitions_equal_a_count_one_by_one_and_are_divided() -> None:
    random = np.random.default_rng(3)
    events = [
        (int(u), int(i), int(m))
        for u, i, m in zip(*(random.integers(0, n, 60) for n in (3, 5, 600)), strict=True)
    ]
    train = history(events)
    counts = np.zeros((5, 5))
    for user in range(3):
        mine = sorted((minute, item) for u, item, minute in events if u == user)
        for (a, first), (b, second) in itertools.combinations(enumerate(mine), 2):
            steps = [mine[n + 1][0] - mine[n][0] for n in range(a, b)]
            if b - a <= 3 and max(steps) <= 30 and first[1] != second[1]:
                counts[first[1], second[1]] += 0.5 ** (b - a - 1)
    settings = TRANSITIONS | {"alpha": 0.5, "beta": 0.25, "shrink": 2.0}
    expected = counts / (counts.sum(1)[:, None] + 2) ** 0.5 / (counts.sum(0) + 2) ** 0.25
    np.testing.assert_allclose(fit("transitions", train, **settings), expected, rtol=1e-6)
    kept = fit("transitions", train, **settings | {"neighbours": 1})
    assert (np.count_nonzero(kept, axis=1) <= 1).all()
    np.testing.assert_allclose(kept.max(axis=1), expected.max(axis=1), rtol=1e-6)


def test_sessions_are_walks_from_item_to_session_to_item() -> None:
    # One user hears 0 1 1 and, after a pause, 2 3; another 0 2.
    train = history([(0, 0, 0), (0, 1, 1), (0, 1, 2), (0, 2, 60), (0, 3, 61), (1, 0, 0), (1, 2, 9)])
    settings = {"gap_minutes": 30.0, "neighbours": 100, "alpha": 1.0, "beta": 0.0}
    expected = np.zeros((5, 5))
    expected[0] = np.array([1 / 3, 2 / 3, 0, 0, 0]) / 2 + np.array([1 / 2, 0, 1 / 2, 0, 0]) / 2
    expected[1, :2] = 1 / 3, 2 / 3
    expected[2] = np.array([0, 0, 1 / 2, 1 / 2, 0]) / 2 + np.array([1 / 2, 0, 1 / 2, 0, 0]) / 2
    expected[3, 2:4] = 1 / 2, 1 / 2
    np.testing.assert_allclose(fit("sessions", train, **settings), expected, rtol=1e-6)
    halved = fit("sessions", train, **settings | {"beta": 1.0})
    np.testing.assert_allclose(halved[:, :4], expected[:, :4] / [2, 2, 2, 1], rtol=1e-6)
    assert (np.count_nonzero(fit("sessions", train, **settings | {"neighbours": 1}), 1) <= 1).all()


def test_a_session_ends_with_the_user_and_with_a_pause() -> None:
    train = history([(0, 0, 0), (0, 1, 30), (0, 2, 61), (1, 4, 61), (1, 3, 62)])
    item, session = sequences(train, train.listens(), 30 * 60)
    assert item.tolist() == [0, 1, 2, 4, 3]
    assert session.tolist() == [1, 1, 2, 3, 3]


def test_what_is_in_fashion_counts_each_user_once_by_the_last_listen() -> None:
    events = [(0, 0, 1, 0), (0, 0, 1, 8 * DAY), (1, 0, 1, 6 * DAY), (1, 1, 1, 8 * DAY)]
    train = aggregate(listens_of(events)).before(9 * DAY)
    scores = fit("recent_popular", train, half_life_days=2.0)
    assert scores[0].tolist() == pytest.approx([2**-0.5 + 2**-1.5, 2**-0.5, 0, 0, 0])
    assert (scores == scores[0]).all()


def test_own_plays_are_the_history_as_it_is_weighed() -> None:
    events = [(0, 0, 2, 0), (0, 1, 1, 4 * DAY), (1, 2, 1, 8 * DAY), (0, 0, 1, 8 * DAY)]
    train = aggregate(listens_of(events))
    model = closed_forms.fit("own_plays", {}, train, seed=0)
    for half_life, expected in ((None, [3, 1]), (4.0, [1 + 2 / 4, 0.5])):
        scores = model.scores(Histories.of_all(train, Weighting("raw", half_life)))
        assert np.asarray(scores)[0].tolist() == pytest.approx([*expected, 0, 0, 0])


@pytest.mark.parametrize("name", ["recent_popular", "transitions", "sessions"])
def test_they_need_times(name: str) -> None:
    sessions = {"gap_minutes": 30.0, "neighbours": 9, "alpha": 1.0, "beta": 0.0}
    settings = {
        "recent_popular": {"half_life_days": 1.0},
        "transitions": TRANSITIONS,
        "sessions": sessions,
    }[name]
    with pytest.raises(UserError, match=r"config\.data\.columns\.timestamp"):
        closed_forms.fit(name, settings, as_interactions(np.eye(3)), seed=0)
