"""The kernels as test parameters: one that can't be had on this machine is skipped, saying so."""

import jax
import pytest

from jaxrec.gcn.message_passing import KERNELS as _ALL
from jaxrec.gcn.message_passing import why_not


def _parameter(name: str) -> object:
    reason = why_not(name, jax.default_backend())
    skip = pytest.mark.skipif(reason is not None, reason=f"kernel {name} can't be had: {reason}")
    return pytest.param(name, marks=skip)


KERNELS = [_parameter(name) for name in sorted(_ALL)]
PREFETCH = [_parameter("prefetch")]
