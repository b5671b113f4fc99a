"""Graphs from dense matrices, and the dense matrices that graphs stand for."""

import jax.numpy as jnp
import numpy as np

from jaxrec.gcn.graph import BipartiteGraph, build_graph
from jaxrec.gcn.message_passing import prepared
from jaxrec.gcn.training_graph import ItemMass, cumulative_mass, mass_before


def graph_from_dense(ratings: np.ndarray, kernel: str = "csr") -> BipartiteGraph:
    """The graph, for a kernel, whose edge weights are the non-zero entries of [users, items]."""
    user, item = np.nonzero(ratings)
    num_users, num_items = ratings.shape
    weight = ratings[user, item]
    graph = build_graph(user, item, weight, num_users=num_users, num_items=num_items)
    return prepared(graph, kernel)


def dense_normalised(ratings: np.ndarray) -> np.ndarray:
    """D_u^-1/2 R D_i^-1/2 with 0 for isolated nodes, [users, items] float64.

    The adjacency A of the graph holds it above the diagonal and its transpose below.
    """
    scale = []
    for axis in (1, 0):
        degree = ratings.sum(axis=axis)
        scale.append(np.divide(1, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0))
    return scale[0][:, None] * ratings * scale[1][None, :]


def popularity_mass(graph: BipartiteGraph, *, alpha: float) -> ItemMass:
    """The masses of a graph's items by `cumulative_mass`."""
    offsets, items = np.asarray(graph.to_users.offsets), np.asarray(graph.to_users.senders)
    users_of = np.bincount(items, minlength=graph.num_items)
    cumulative = cumulative_mass(users_of, alpha=alpha)
    before = mass_before(offsets, items, cumulative)
    return ItemMass(jnp.asarray(cumulative), jnp.asarray(before))
