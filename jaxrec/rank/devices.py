"""Blocks of users shared among the devices of this process: each ranks its own, nothing is sent."""

import functools

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from jaxrec.gcn.mesh import ALIKE, OWN, on_devices
from jaxrec.gcn.shares import AXIS
from jaxrec.models.sparse_weights import Added
from jaxrec.rank.best_columns import USERS_PER_BLOCK, best_columns


def mesh_for(num_users: int) -> Mesh | None:
    """This process's devices, if there are several and a block of users for each; else None."""
    there = jax.local_devices()
    blocks = -(-num_users // USERS_PER_BLOCK)
    return Mesh(np.array(there), (AXIS,)) if 1 < len(there) <= blocks else None


def on_each(table: np.ndarray, mesh: Mesh | None) -> jax.Array:
    """A table that each device has the whole of."""
    return jax.device_put(table, None if mesh is None else NamedSharding(mesh, ALIKE))


@functools.partial(jax.jit, static_argnames=("k", "mesh"))
def best_columns_on(
    blocks: jax.Array,
    table: jax.Array | None,
    listed: jax.Array,
    hidden: tuple[jax.Array, jax.Array] | None,
    k: int,
    mesh: Mesh | None,
    added: Added | None,
) -> tuple[jax.Array, jax.Array]:
    """`best_columns` of each device's blocks, of which each has as many as the others.

    Args:
      blocks: as of `best_columns`, one device's after another's.
      table: as there.
      listed: as there.
      hidden: as there; positions and offsets of one device after those of another.
      k: as there.
      mesh: the devices; None for one.
      added: as there; None with several devices.
    """
    ranked = functools.partial(best_columns, k=k, added=added)
    takes = (OWN, ALIKE, ALIKE, OWN)
    return on_devices(ranked, mesh, takes=takes, gives=OWN)(blocks, table, listed, hidden)
