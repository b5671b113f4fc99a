"""Named arrays in a safetensors file, memory-mapped when they are read.

The format: https://huggingface.co/docs/safetensors. Eight bytes with the length of a header, the
header as JSON, the arrays one behind another. Nothing in it can be run.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from jaxrec.errors import UserError

_LENGTH = 8  # bytes
_LONGEST_HEADER = 100_000_000  # bytes, as safetensors itself has it
_TYPES = {
    "BOOL": np.bool_,
    "I32": np.int32,
    "I64": np.int64,
    "F32": np.float32,
    "F64": np.float64,
}


def write_tensors(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes the arrays, of any of the types above."""
    path.touch()
    mode = path.stat().st_mode  # by the umask, as that of any file; safetensors has its own
    save_file({name: np.ascontiguousarray(each) for name, each in arrays.items()}, path)
    path.chmod(mode)


def map_tensors(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file, read-only, whose pages are read when they are used.

    safetensors itself copies an array that NumPy asks for.

    Raises:
      UserError: it is no such file, or an array in it isn't where the header says.
    """
    try:
        whole = np.asarray(np.memmap(path, np.uint8, mode="r"))
        length = int.from_bytes(whole[:_LENGTH].tobytes(), "little")
        if not 0 < length <= min(_LONGEST_HEADER, len(whole) - _LENGTH):
            raise ValueError(f"a header of {length:,} bytes")
        header = json.loads(whole[_LENGTH : _LENGTH + length].tobytes())
        data = whole[_LENGTH + length :]
        header.pop("__metadata__", None)
        return {name: _array(data, **each) for name, each in header.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path}: unreadable ({error}); expected the file `export` wrote"
        ) from error


def _array(data: np.ndarray, dtype: str, shape: list[int], data_offsets: list[int]) -> np.ndarray:
    """One array of the file, where its header says."""
    begin, end = data_offsets
    kind = np.dtype(_TYPES[dtype])
    if not 0 <= begin <= end <= len(data) or end - begin != math.prod(shape) * kind.itemsize:
        raise ValueError(f"an array of shape {shape} at {begin}:{end}")
    return data[begin:end].view(kind).reshape(shape)
