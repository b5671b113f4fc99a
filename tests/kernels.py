"""The kernels as test parameters: one that can't be had on this machine is skipped, saying so."""

import jax
import pytest

from jaxrec.gcn import native
from jaxrec.gcn.message_passing import KERNELS as _ALL


def _why_not(name: str) -> str | None:
    if name != "prefetch":
        return None
    return native.why_not() if jax.default_backend() == "cpu" else "it is for cpu"


def _parameter(name: str) -> object:
    reason = _why_not(name)
    skip = pytest.mark.skipif(reason is not None, reason=f"kernel {name} can't be had: {reason}")
    return pytest.param(name, marks=skip)


KERNELS = [_parameter(name) for name in sorted(_ALL)]
PREFETCH = [_parameter("prefetch")]
