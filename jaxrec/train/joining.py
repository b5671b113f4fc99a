"""The network over a graph with more users in it than it was trained on; nothing is trained."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from jaxrec.config import RunConfig
from jaxrec.data.interactions import IdMap, Interactions
from jaxrec.errors import UserError
from jaxrec.gcn.embeddings import Embeddings
from jaxrec.models.histories import Histories
from jaxrec.models.model import Model
from jaxrec.train.network import Network, NetworkFitting
from jaxrec.train.step import TrainState


def own_vectors(fitting: NetworkFitting, state: TrainState, strangers: Histories) -> np.ndarray:
    """Layer 0 of users who weren't there, as it is solved for: [n, dim] float32."""
    fold_in = fitting.setup.fold_in(state.params)
    item = np.asarray(fitting.setup.final_embeddings(state.params).item)
    own = fold_in.vectors(strangers, item) - fold_in.sums(strangers)
    weight = fitting.setup.convolution.own_weight
    return np.asarray(own / weight if weight else np.zeros_like(own), np.float32)


def joined(
    config: RunConfig,
    train: Interactions,
    state: TrainState,
    *,
    added: Histories,
    plays: np.ndarray,
    own: np.ndarray,
    replaced: np.ndarray,
) -> Model:
    """The model whose graph has the added users, too: all sums are made again, walks as well.

    Args:
      config: the network's.
      train: what it was trained on.
      state: what it has learnt.
      added: [n] histories; their users get the indices from `train.num_users` on.
      plays: [num_entries] float64, of the entries.
      own: [n, dim] float32, the users' layer 0.
      replaced: indices of users whose edges are taken out, since they are among the added.

    Raises:
      UserError: listens have been weighed by their age in training.
    """
    if config.learnt_weights.half_life_days is not None:
        raise UserError(
            "--join: config.history.learnt_half_life_days is "
            f"{config.learnt_weights.half_life_days}, and the ages of two readings don't go "
            "together; expected no --join"
        )
    kept = ~np.isin(train.user, replaced)
    count = train.num_users + len(added)
    whole = Interactions(
        user=np.concatenate([train.user[kept], train.num_users + added.entry_rows()]),
        item=np.concatenate([train.item[kept], added.items]),
        plays=np.concatenate([train.plays[kept], plays]),
        timestamp=None,
        users=IdMap(np.arange(count)),  # what they are called doesn't matter
        items=train.items,
    )
    user = jnp.concatenate([state.params.user, jnp.asarray(own)])
    params = Embeddings(user=user, item=state.params.item)
    return Network().fitting(config, whole).model(dataclasses.replace(state, params=params))
