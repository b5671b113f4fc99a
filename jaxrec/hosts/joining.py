"""A process becomes one of many: finds its place, meets the others, and starts JAX's runtime."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxrec.errors import RunError
from jaxrec.hosts import together
from jaxrec.hosts.place import Place, place_of
from jaxrec.hosts.watch import Patience
from jaxrec.hosts.wire import Wire

_DAY = 86_400  # seconds; the guards end what hangs, so JAX's runtime need not
_CHECKED = 2**20  # numbers a device, 4 MiB; fewer where there are many devices
_CHECKED_IN_ALL = 2**24
_AXIS = "device"


def join(
    link: Wire,
    processes: str,
    process: int | None,
    coordinator: str | None,
    patience: Patience,
) -> None:
    """Joins the others; JAX must not have been used before.

    Args:
      link: to the guard.
      processes: how many there are, or `auto`.
      process: which one this is; None with `auto`.
      coordinator: where process 0 is; None with `auto`.
      patience: with the others.

    Raises:
      UserError: there is no cluster that JAX knows.
      RunError: the collectives compute wrongly.
    """
    together.attend(link)
    place = place_of(processes, process, coordinator, start_seconds=patience.start)
    if place.index:
        _mute()
    together.meet(link, place)
    # Its handler of SIGTERM would take the place of ours.
    jax.config.update("jax_enable_preemption_service", False)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(
        coordinator_address=place.coordinator,
        num_processes=place.count,
        process_id=place.index,
        local_device_ids=None if place.devices is None else list(place.devices),
        cluster_detection_method="deactivate",
        initialization_timeout=int(patience.start) + 1,
        heartbeat_timeout_seconds=_DAY,
        shutdown_timeout_seconds=_DAY,
        coordinator_bind_address=_bound(place),
    )
    with _without_words():
        check_collectives(jax.devices())


def _bound(place: Place) -> str | None:
    """Where process 0 listens: not for the world, if all processes are on this machine."""
    return place.coordinator if place.listens_at else None


def check_collectives(
    devices: Sequence[jax.Device],
    *,
    all_gather: Callable[..., Any] = jax.lax.all_gather,
    psum: Callable[..., Any] = jax.lax.psum,
) -> None:
    """Sums what a large `all_gather` and a large `psum` give, where the result is known.

    There are backends that compute large ones wrongly (https://github.com/jax-ml/jax/issues/40830).

    Args:
      devices: of all processes.
      all_gather: what to check, as `jax.lax.all_gather`.
      psum: likewise.

    Raises:
      RunError: one is wrong.
    """
    size = min(_CHECKED, _CHECKED_IN_ALL // len(devices))
    numbers = _scattered(np.arange(len(devices) * size, dtype=np.uint64))
    small = (numbers % 4096).astype(np.float32)  # whose sums are exact
    expected = {
        "all_gather": _digest(numbers, np),
        "psum": _digest(small.reshape(len(devices), -1).sum(0).astype(np.uint32), np),
    }
    mesh = Mesh(np.array(devices), (_AXIS,))
    sharded = NamedSharding(mesh, PartitionSpec(_AXIS))

    def digests(numbers: jax.Array, small: jax.Array) -> jax.Array:
        gathered = all_gather(numbers, _AXIS, tiled=True)
        added = psum(small, _AXIS).astype(np.uint32)
        return jax.numpy.stack([_digest(gathered, jax.numpy), _digest(added, jax.numpy)])[None]

    run = jax.jit(
        jax.shard_map(
            digests,
            mesh=mesh,
            in_specs=PartitionSpec(_AXIS),
            out_specs=PartitionSpec(_AXIS),
            check_vma=False,
        )
    )
    inputs = (
        jax.make_array_from_callback(each.shape, sharded, each.__getitem__)
        for each in (numbers, small)
    )
    for shard in run(*inputs).addressable_shards:
        for (name, wanted), found in zip(expected.items(), np.asarray(shard.data)[0], strict=True):
            if found != wanted:
                raise RunError(
                    f"{name} of {4 * size / 2**20:g} MiB from each of {len(devices)} devices "
                    f"computes wrongly on {shard.device} (checksum {found}, expected {wanted}; "
                    "see https://github.com/jax-ml/jax/issues/40830); expected another version of "
                    "jaxlib, or one process"
                )


def _scattered(places: np.ndarray) -> np.ndarray:
    """A number for each place that tells it from its neighbours (Fibonacci hashing)."""
    return (places * np.uint64(2_654_435_761) % np.uint64(2**32)).astype(np.uint32)


def _digest(numbers: Any, library: Any) -> Any:
    """A sum, modulo 2^32, that other numbers or another order would change."""
    weights = library.arange(numbers.size, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return (numbers * weights).sum(dtype=np.uint32)


def _mute() -> None:
    """Only process 0 talks to people; what the others say on standard error their guards keep."""
    sys.stdout.flush()
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)


@contextlib.contextmanager
def _without_words() -> Iterator[None]:
    """Gloo says on standard output how many it is connected to; nobody asked."""
    sys.stdout.flush()
    kept = os.dup(1)
    _mute()
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
