"""Random embeddings, and both tables of embeddings as one."""

import jax.numpy as jnp
import numpy as np

from jaxrec.gcn.embeddings import Embeddings


def random_embeddings(num_users: int, num_items: int, dim: int = 5, seed: int = 5) -> Embeddings:
    """Standard normal, from the seed."""
    random = np.random.default_rng(seed)
    user, item = (
        random.standard_normal((size, dim), np.float32) for size in (num_users, num_items)
    )
    return Embeddings(user=jnp.asarray(user), item=jnp.asarray(item))


def stacked(embeddings: Embeddings) -> np.ndarray:
    """The users' rows, then the items'."""
    return np.concatenate([embeddings.user, embeddings.item])
