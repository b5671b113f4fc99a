"""What lists are ranked by: the embeddings, with walks over the training graph where they count."""

import jax.numpy as jnp
import numpy as np

from jaxrec.gcn.model import Embeddings
from jaxrec.gcn.walks import scores_with_walks
from jaxrec.rank.top_k import Scorer
from jaxrec.train.setup import Setup


def ranker(setup: Setup, params: Embeddings) -> Embeddings | Scorer:
    """The final embeddings, or a scorer that adds the configured walks to them."""
    embeddings = setup.final_embeddings(params)
    if setup.walks.weight == 0:
        return embeddings
    offsets = setup.graph.to_users.offsets
    max_degree = int(jnp.max(offsets[1:] - offsets[:-1]))

    def score(users: np.ndarray) -> np.ndarray:
        return np.asarray(
            scores_with_walks(
                setup.graph, embeddings, users, walks=setup.walks, max_degree=max_degree
            )
        )

    return score
