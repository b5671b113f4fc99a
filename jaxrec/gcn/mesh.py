"""The devices that share a graph, and the one function they all run."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxrec.errors import UserError
from jaxrec.gcn.shares import AXIS

OWN, ALIKE = PartitionSpec(AXIS), PartitionSpec()  # each device its share, each the whole


def mesh_of(devices: int) -> Mesh | None:
    """The devices that share the graph, in one axis; None for one alone, which has it all.

    Args:
      devices: how many; 0 for all there are.

    Raises:
      UserError: there are fewer, or other processes would have none.
    """
    there = jax.devices()
    if devices > len(there) or (devices and jax.process_count() > 1 and devices != len(there)):
        raise UserError(
            f"config.mesh.devices is {devices}, and {jax.process_count()} processes have "
            f"{len(there)} devices; expected 0, which takes all of them"
        )
    chosen = there[: devices or len(there)]
    return Mesh(np.array(chosen), (AXIS,)) if len(chosen) > 1 else None


def own_devices(mesh: Mesh) -> list[int]:
    """The numbers, in the mesh, of the devices that are this process's."""
    own = jax.process_index()
    return [n for n, device in enumerate(mesh.devices.flat) if device.process_index == own]


def joined(mesh: Mesh, share: Callable[[int], np.ndarray]) -> jax.Array:
    """The array of which each device has a share, made where this process has the device.

    Args:
      mesh: the devices.
      share: what a device has, by its number; all are of one shape.
    """
    here = [jax.device_put(share(n), mesh.devices.flat[n]) for n in own_devices(mesh)]
    shape = (here[0].shape[0] * mesh.size, *here[0].shape[1:])
    return jax.make_array_from_single_device_arrays(shape, NamedSharding(mesh, OWN), here)


def on_devices(
    function: Callable[..., Any], mesh: Mesh | None, *, takes: Any, gives: Any
) -> Callable[..., Any]:
    """A function that each device calls with its share of the arguments; itself without a mesh.

    Args:
      function: of arrays.
      mesh: the devices.
      takes: for each argument its `PartitionSpec`, or a tree of them.
      gives: the same for what it returns.
    """
    if mesh is None:
        return function
    # That results are alike on all devices is what the function must see to; JAX isn't asked to
    # prove it, since it knows nothing of a kernel in C++.
    return jax.shard_map(function, mesh=mesh, in_specs=takes, out_specs=gives, check_vma=False)


def state_specs(state: Any) -> Any:
    """A training state's `PartitionSpec`s: each device has its rows of the tables."""

    def spec(leaf: jax.Array) -> PartitionSpec:
        return OWN if leaf.ndim == 2 else ALIKE

    return jax.tree.map(spec, state)
