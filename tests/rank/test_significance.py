"""Paired tests over users, and their correction for many: by hand, and against the definitions."""

import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from jaxrec.rank.significance import holm, paired_p_value


def test_the_t_test_by_hand() -> None:
    # Differences 1, 2, 3: mean 2, deviation 1, t = 2 sqrt(3). With 2 degrees of freedom Student's
    # distribution is known in closed form: p = 1 - t / sqrt(2 + t^2).
    t = 2 * math.sqrt(3)
    found = paired_p_value(np.array([1.5, 2.5, 3.5]), np.array([0.5, 0.5, 0.5]))
    assert found == pytest.approx(1 - t / math.sqrt(2 + t**2), rel=1e-12)


def test_the_same_figures_differ_by_chance_only() -> None:
    figures = np.random.default_rng(0).random(1000)
    assert paired_p_value(figures, figures.copy()) == 1
    assert paired_p_value(np.array([0.5]), np.array([0.1])) == 1  # one user tells nothing
    assert paired_p_value(np.full(9, 0.5), np.full(9, 0.25)) == 0


def test_almost_equal_differences_give_a_p_value_without_a_warning() -> None:
    first = np.full(1000, 0.5)
    first[0] += 1e-16
    first[1] += 2e-16
    assert paired_p_value(first, np.full(1000, 0.1)) == pytest.approx(0, abs=1e-12)


def test_it_is_two_sided_and_paired() -> None:
    random = np.random.default_rng(1)
    user = random.random(200)  # users differ much, the rankings little
    first, second = user + 0.01 + 0.02 * random.standard_normal(200), user
    assert paired_p_value(first, second) == pytest.approx(paired_p_value(second, first))
    assert paired_p_value(first, second) < 1e-6 < paired_p_value(first, random.permutation(second))


def test_p_values_of_equal_rankings_are_uniform() -> None:
    random = np.random.default_rng(2)
    p_values = [paired_p_value(*random.random((2, 100))) for _ in range(1000)]
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize("shape", [(2,), (0,), (3, 1)])
def test_other_users_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected the same users"):
        paired_p_value(np.zeros(shape), np.zeros(3 if shape == (2,) else shape))


def test_holm_by_hand() -> None:
    # Holm's factors 4, 3, 2, 1 on .005, .01, .03, .04 give .02, .03, .06, .04; none below one
    # before it, so the last becomes .06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.4, 0.9]) == pytest.approx([0.8, 0.9])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


@hypothesis.given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: list[float]) -> None:
    level = 0.05
    rejected = set()
    for step, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] * (len(p_values) - step) > level:
            break
        rejected.add(index)
    assert {i for i, p in enumerate(holm(p_values)) if p <= level} == rejected
