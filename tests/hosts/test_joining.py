"""Collectives that compute wrongly are refused; one process needs nobody to agree with."""

from typing import Any

import jax
import pytest

from jaxrec.errors import RunError
from jaxrec.hosts import together
from jaxrec.hosts.joining import check_collectives


def wrong(collective: Any) -> Any:
    """The collective with one number wrong, far from its beginning."""

    def call(numbers: jax.Array, *args: Any, **kwargs: Any) -> jax.Array:
        found = collective(numbers, *args, **kwargs)
        return found.at[-3].add(1)

    return call


def swapped(numbers: jax.Array, *args: Any, **kwargs: Any) -> jax.Array:
    found = jax.lax.all_gather(numbers, *args, **kwargs)
    return found.at[-2:].set(found[-2:][::-1])


def test_right_ones_pass_and_wrong_ones_are_refused() -> None:
    devices = jax.devices()
    check_collectives(devices)
    for collectives in (
        {"all_gather": wrong(jax.lax.all_gather)},
        {"all_gather": swapped},
        {"psum": wrong(jax.lax.psum)},
    ):
        name = next(iter(collectives))
        with pytest.raises(RunError, match=f"^{name} of 4 MiB from each of {len(devices)} devices"):
            check_collectives(devices, **collectives)


def test_one_process_agrees_with_itself() -> None:
    assert (together.index(), together.count(), together.is_first()) == (0, 1, True)
    assert together.decided("what", 3) == 3
    assert together.gathered("what", 3) == [3]
    assert together.by_first("what", lambda: 3) == 3
