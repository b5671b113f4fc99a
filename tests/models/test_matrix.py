"""Products of the matrix with itself: blocks change nothing, and the best are kept."""

import numpy as np
import pytest
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


def test_the_strongest_of_equals_are_the_first() -> None:
    rows = sparse.csr_array(np.array([[2, 1, 2, 3, 2], [0, 0, 0, 0, 7], [0, 0, 0, 0, 0.0]]))
    expected = [[2, 0, 2, 3, 0], [0, 0, 0, 0, 7], [0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(strongest(rows, 3).toarray(), expected)
