"""What is made of a table some columns at a time is what is made of all at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.gcn.shares import by_columns


@pytest.mark.parametrize("columns", [0, 1, 2, 3, 5, 7, 8])
def test_blocks_of_columns_make_what_all_make_at_once(columns: int) -> None:
    """Their number need not divide that of all; what is made may have other rows."""
    tables = [jax.random.normal(jax.random.key(seed), (4, 7)) for seed in (0, 1)]
    widths = []

    def function(one: jax.Array, other: jax.Array) -> dict[str, jax.Array]:
        widths.append(one.shape[1])
        return {"sums": jnp.cumsum(one, axis=0), "both": jnp.concatenate([one, 2 * other])}

    found = by_columns(function, columns, *tables)
    assert set(widths) == {columns if 0 < columns < 7 else 7}
    jax.tree.map(np.testing.assert_array_equal, found, function(*tables))
