"""Products of the matrix with itself: blocks change nothing, and the best are kept."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy
from scipy import sparse

from jaxrec.models import matrix as module
from jaxrec.models.matrix import item_blocks, strongest
from tests.models.problems import as_matrix, fit, random_plays


@pytest.mark.parametrize("method", ["itemknn", "rp3beta"])
def test_blocks_of_items_change_nothing(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = random_plays(5, users=60, items=40)
    settings = {
        "itemknn": {"neighbours": 5, "shrink": 2.0, "normalize": True, "centre": True},
        "rp3beta": {"neighbours": 5, "alpha": 0.8, "beta": 0.3},
    }[method]
    rows = as_matrix(table, "binary")
    whole = fit(method, table, **settings)
    assert len(item_blocks(rows)) == 1
    monkeypatch.setattr(module, "ENTRIES_PER_BLOCK", 500)
    blocks = item_blocks(rows)
    assert len(blocks) > 3
    assert [index for block in blocks for index in range(40)[block]] == list(range(40))
    np.testing.assert_array_equal(fit(method, table, **settings), whole)


@given(
    table=hypothesis_numpy.arrays(
        np.float32, st.tuples(st.integers(1, 9), st.integers(1, 12)), elements=st.integers(-1, 4)
    ),
    count=st.integers(1, 13),
    at_once=st.sampled_from([1, 30, 2**18]),
)
def test_the_strongest_are_the_first_of_each_row_in_order(
    table: np.ndarray, count: int, at_once: int
) -> None:
    """Whatever their order in the matrix, and however many rows are done together."""
    entries = sparse.csr_array(table)
    backwards = sparse.csr_array(
        (entries.data.copy(), entries.indices.copy(), entries.indptr), shape=table.shape
    )
    for start, stop in itertools.pairwise(entries.indptr):
        backwards.data[start:stop] = entries.data[start:stop][::-1]
        backwards.indices[start:stop] = entries.indices[start:stop][::-1]
    expected = np.zeros_like(table)
    for row, values in zip(expected, table, strict=True):
        best = np.argsort(-values, kind="stable")[:count]
        row[best] = np.maximum(values[best], 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ENTRIES_AT_ONCE", at_once)
        found = strongest(backwards, count)
    found.check_format(full_check=True)
    assert found.has_sorted_indices
    np.testing.assert_array_equal(found.toarray(), expected)


def test_a_nan_is_among_the_strongest() -> None:
    """So that whoever ranks by it finds it."""
    rows = sparse.csr_array(np.array([[1, 2, np.nan, 4], [np.nan, 0, 0, 0]], np.float32))
    for count in (1, 2, 4):
        assert np.isnan(strongest(rows, count).toarray()).sum() == 2


def test_the_strongest_of_equals_are_the_first() -> None:
    rows = sparse.csr_array(np.array([[2, 1, 2, 3, 2], [0, 0, 0, 0, 7], [0, 0, 0, 0, 0.0]]))
    expected = [[2, 0, 2, 3, 0], [0, 0, 0, 0, 7], [0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(strongest(rows, 3).toarray(), expected)
