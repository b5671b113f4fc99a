"""Graphs from dense matrices, and the dense matrices that graphs stand for."""

import numpy as np

from jaxrec.gcn.graph import BipartiteGraph, build_graph


def graph_from_dense(ratings: np.ndarray) -> BipartiteGraph:
    """The graph whose edge weights are the non-zero entries of `ratings` [users, items]."""
    user, item = np.nonzero(ratings)
    num_users, num_items = ratings.shape
    return build_graph(user, item, ratings[user, item], num_users=num_users, num_items=num_items)


def dense_normalised(ratings: np.ndarray) -> np.ndarray:
    """D_u^-1/2 R D_i^-1/2 with 0 for isolated nodes, [users, items] float64.

    The adjacency A of the graph holds it above the diagonal and its transpose below.
    """
    scale = []
    for axis in (1, 0):
        degree = ratings.sum(axis=axis)
        scale.append(np.divide(1, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0))
    return scale[0][:, None] * ratings * scale[1][None, :]
