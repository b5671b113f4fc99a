"""The inverse that is made in the matrix's own place."""

import numpy as np
import pytest

from jaxrec.models import inverse
from jaxrec.models.matrix import untracked


@pytest.mark.parametrize("rows_per_block", [1, 3, 4, 12, 100])
def test_the_inverse_grows_block_by_block(
    rows_per_block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inverse, "ROWS_PER_BLOCK", rows_per_block)
    rng = np.random.default_rng(2)
    root = rng.normal(size=(12, 12))
    whole = root @ root.T + np.eye(12)
    table = whole.astype(np.float32)
    for block in inverse.blocks(12):
        inverse.extend_inverse(table, block)
        known = slice(0, block.stop)
        expected = np.linalg.inv(whole[known, known])
        np.testing.assert_allclose(table[known, known], expected, rtol=1e-3, atol=1e-3)
    again = whole.astype(np.float32)
    inverse.invert(again, untracked)
    np.testing.assert_array_equal(again, table)


def test_a_matrix_that_is_not_positive_definite_is_refused() -> None:
    with pytest.raises(np.linalg.LinAlgError):
        inverse.invert(np.array([[1, 2], [2, 1]], np.float32), untracked)
