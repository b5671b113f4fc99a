"""The kernels as test parameters: one that can't be had on this machine is skipped, saying so."""

import jax
import pytest

from jaxrec.gcn.message_passing import KERNELS as _ALL
from jaxrec.gcn.message_passing import unavailable_reason


def with_kernel(name: str, *parameters: object) -> object:
    """These parameters, or the kernel's name alone, for a test that uses it."""
    reason = unavailable_reason(name, jax.default_backend())
    skip = pytest.mark.skipif(reason is not None, reason=f"kernel {name} can't be had: {reason}")
    return pytest.param(*(parameters or (name,)), marks=skip)


KERNELS = [with_kernel(name) for name in sorted(_ALL)]
PREFETCH = [with_kernel("prefetch")]
