"""What lists are ranked by: the embeddings, with walks over the training graph where they count."""

import functools

import numpy as np

from jaxrec.gcn.model import Embeddings
from jaxrec.gcn.walks import scores_with_walks, walk_model
from jaxrec.rank.top_k import Scorer
from jaxrec.train.setup import Setup


def ranker(setup: Setup, params: Embeddings) -> Embeddings | Scorer:
    """The final embeddings, or a scorer that adds the configured walks to them."""
    embeddings = setup.final_embeddings(params)
    if setup.walks.weight == 0:
        return embeddings
    model = walk_model(
        setup.graph,
        embeddings,
        walks=setup.walks,
        max_degree=int(np.diff(setup.graph.to_users.offsets).max()),
    )
    return functools.partial(scores_with_walks, model)
