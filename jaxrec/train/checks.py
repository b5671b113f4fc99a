"""What is asked before anything is trained: is there something to learn, and room for it?"""

import jax
import numpy as np

from jaxrec.config import RunConfig
from jaxrec.data.interactions import Interactions
from jaxrec.errors import UserError
from jaxrec.gcn.mesh import mesh_of
from jaxrec.train.memory import available_bytes, check_fits, estimate_bytes
from jaxrec.train.parts import convolution_of, objective_of


def check_learnable(train: Interactions) -> int:
    """Counts the users who have an interaction with every item: no negative exists for them.

    Returns:
      How many there are; their edges weigh nothing in the loss.

    Raises:
      UserError: there is no other user, so that nothing can be learnt.
    """
    listened = np.diff(train.user_offsets())
    full = int((listened == train.num_items).sum())
    if not ((listened > 0) & (listened < train.num_items)).any():
        raise UserError(
            f"data: each of the {full:,} users has listened to all {train.num_items:,} songs, so "
            "no song can be told from another; expected at least one user who has not"
        )
    return full


def check_memory(config: RunConfig, train: Interactions, *, copies: int = 1) -> str:
    """Refuses what can't fit the device.

    Args:
      config: the run's.
      train: what it learns from.
      copies: models held at once.

    Returns:
      A line about how much is needed and free.

    Raises:
      UserError: the memory doesn't suffice, or the kernel or the devices can't be had here.
    """
    mesh = mesh_of(config.mesh.devices)
    device = jax.local_devices()[0]
    convolution = convolution_of(config, mesh)
    needed = estimate_bytes(
        num_users=train.num_users,
        num_items=train.num_items,
        num_edges=len(train),
        dim=config.model.dim,
        batch_size=config.batch_size,
        convolution=convolution,
        objective=objective_of(config, convolution, mesh),
        copies=copies,
        devices=1 if mesh is None else mesh.size,
    )
    if mesh is not None and device.platform == "cpu":  # they share the machine's memory
        needed *= len(mesh.local_devices)
    available = available_bytes(device)
    check_fits(needed, available, dim=config.model.dim, batch_size=config.batch_size)
    free = "" if available is None else f" of {available / 2**30:,.1f} GiB free"
    return f"memory: training needs about {needed / 2**20:,.0f} MiB{free}"
