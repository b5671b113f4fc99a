"""The kernels as test parameters, and what a test may not ask of an accelerator.

A kernel that can't be had on this machine is skipped, saying so.
"""

import jax
import pytest

from jaxrec.gcn.message_passing import KERNELS as _ALL
from jaxrec.gcn.message_passing import unavailable_reason

ON_CPU = jax.default_backend() == "cpu"
_SCATTERED = ("segment_sum", "csr")  # off a CPU they add in whatever order threads come

in_order = pytest.mark.skipif(
    not ON_CPU,
    reason="asks for the same bits, and here a scatter adds in any order: docs/lab/accelerators.md",
)


def with_kernel(name: str, *parameters: object, same_bits: bool = False) -> object:
    """These parameters, or the kernel's name alone, for a test that uses it.

    Args:
      name: in `KERNELS`.
      *parameters: the test's, if they are more than the name.
      same_bits: whether the test asks for sums that are the same bits every time.
    """
    reason = unavailable_reason(name, jax.default_backend())
    marks = [pytest.mark.skipif(reason is not None, reason=f"kernel {name} can't be had: {reason}")]
    if same_bits and name in _SCATTERED:
        marks.append(in_order)
    return pytest.param(*(parameters or (name,)), marks=marks)


def _is_for_here(name: str) -> bool:
    """Whether the kernel is for this kind of device, even if this machine can't have it."""
    reason = unavailable_reason(name, jax.default_backend())
    return reason is None or not reason.startswith("it is for ")


HERE = [name for name in sorted(_ALL) if _is_for_here(name)]
KERNELS = [with_kernel(name) for name in HERE]
PREFETCH = [with_kernel("prefetch")]
