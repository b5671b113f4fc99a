"""What a training step will need of the device's memory, told before anything is allocated."""

import jax

from jaxrec import host_memory
from jaxrec.errors import UserError
from jaxrec.gcn import pieces
from jaxrec.gcn.convolution import LightGCN
from jaxrec.gcn.objectives import Objective
from jaxrec.gcn.shares import gathered_share

FLOAT = INT = 4  # bytes


def estimate_bytes(
    *,
    num_users: int,
    num_items: int,
    num_edges: int,
    dim: int,
    batch_size: int,
    convolution: LightGCN,
    objective: Objective,
    copies: int = 1,
    devices: int = 1,
) -> int:
    """Memory of each device of training at its peak, in bytes.

    The first terms are exact: parameters and Adam's two moments, both orientations of the graph,
    the epoch's order. The rest counts the buffers that XLA keeps at once, as its own account
    (`Compiled.memory_analysis`) gives it on a CPU over a range of shapes; docs/performance.md has
    the comparison. On a GPU `pallas` was within 10% of it; `segment_sum` takes less there than it
    says, for XLA adds up messages while it makes them.

    Args:
      num_users: rows of the users' embeddings.
      num_items: rows of the items' embeddings.
      num_edges: training interactions.
      dim: length of an embedding.
      batch_size: edges per step.
      convolution: the objective's.
      objective: what is lowered.
      copies: models held at once, each with its graph, of which one at a time is trained.
      devices: how many the rows are dealt to. Each has its share of state, graph and sums, but
        for a moment all rows that it gathers from, or some dimensions of them.
    """
    batch_size = min(batch_size, num_edges)
    layers = convolution.num_layers
    table = FLOAT * dim * (num_users + num_items)
    state = 3 * table / devices
    graph: float = 2 * num_edges * (INT + FLOAT) + (INT + FLOAT) * (num_users + num_items)
    order = INT * num_edges
    propagation = table / devices * (3 if layers else 1.5)
    if convolution.unit_layers:  # layers' inputs are kept for the backward pass
        propagation += 2.5 * table / devices * max(0, layers - 1)
    if devices > 1:
        # The items of the users' edges, for the senders are places; and where each row is.
        graph = (graph + INT * num_edges) / devices + INT * (2 * num_users + num_items)
        propagation += table * gathered_share(convolution.sums.gather_dims, dim)
    messages = 0.0
    if convolution.sums.kernel == "segment_sum" and layers:
        messages = 2.2 * num_edges * dim * FLOAT / devices
    elif convolution.sums.kernel == "pallas" and layers:
        # About so many pieces (a short row is none, a long one's last is not full), in both
        # orientations; the sums of one's are held at a time.
        cut = 2 * num_edges / pieces.WIDTHS[-1]
        graph += 3 * INT * (num_users + num_items) + 2 * INT * cut
        messages = cut / 2 * dim * FLOAT
    batch = objective.batch_bytes(
        num_users=num_users,
        num_edges=num_edges,
        dim=dim,
        batch_size=batch_size,
        devices=devices,
    )
    return int(copies * (state + graph) + order + propagation + messages + batch)


def available_bytes(device: jax.Device) -> int | None:
    """Memory the device can still give, in bytes; None where nothing says it.

    An accelerator tells its limit; for a CPU it is the machine's free memory.
    """
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"] - stats.get("bytes_in_use", 0))
    return host_memory.free_bytes()


def check_fits(needed: int, available: int | None, *, dim: int, batch_size: int) -> None:
    """Refuses a configuration that can't fit, saying what to change.

    Raises:
      UserError: more is needed than there is.
    """
    if available is None or needed <= available:
        return
    smaller = max(1, int(dim * available / needed))
    raise UserError(
        f"training needs about {needed / 2**30:.1f} GiB and {available / 2**30:.1f} GiB are free; "
        f"expected config.model.dim of at most {smaller} (now {dim}), config.batch_size below "
        f"{batch_size:,}, or fewer interactions by config.data.core or config.data.min_plays"
    )
