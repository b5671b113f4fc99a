"""The network over a graph with more users in it than it was trained on; nothing is trained."""

import dataclasses
from typing import Any

import numpy as np

from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Interactions
from jaxrec.gcn.embeddings import Embeddings
from jaxrec.models.histories import Histories
from jaxrec.models.model import Model
from jaxrec.train.network import Network, NetworkFitting
from jaxrec.train.step import TrainState


@dataclasses.dataclass(frozen=True, eq=False)
class Joiners:
    """Users who came after training, or whose histories have grown since.

    Attributes:
      histories: [n], weighed as those that were learnt from.
      plays: [num_entries] float64, of the entries.
      replaced: indices of users whose edges are taken out, since they are among these.
    """

    histories: Histories
    plays: np.ndarray
    replaced: np.ndarray

    def added_to(self, train: Interactions) -> Interactions:
        """Train with their edges, without times; they have the indices from `num_users` on."""
        kept, rows = ~np.isin(train.user, self.replaced), self.histories.entry_rows()
        return Interactions(
            user=np.concatenate([train.user[kept], train.num_users + rows]),
            item=np.concatenate([train.item[kept], self.histories.items]),
            plays=np.concatenate([train.plays[kept], self.plays]),
            timestamp=None,
            # What they are called doesn't matter.
            users=IdMap(np.arange(train.num_users + len(self.histories))),
            items=train.items,
        )


def own_vectors(fitting: NetworkFitting, state: TrainState, strangers: Histories) -> np.ndarray:
    """Layer 0 of users who weren't there, as it is solved for: [n, dim] float32."""
    fold_in = fitting.setup.fold_in(state.params)
    item = np.asarray(fitting.setup.final_embeddings(state.params).item)
    own = fold_in.vectors(strangers, item) - fold_in.sums(strangers)
    weight = fitting.setup.convolution.own_weight
    return np.asarray(own / weight if weight else np.zeros_like(own), np.float32)


def joined(
    fitting: NetworkFitting,
    state: TrainState,
    whole: Interactions,
    own: np.ndarray,
) -> Model:
    """The model whose graph has the joiners, too: all sums are made again, walks as well.

    Args:
      fitting: the network's.
      state: what it has learnt.
      whole: what it was trained on with the joiners, from `Joiners.added_to`.
      own: [n, dim] float32, the joiners' layer 0.
    """
    learnt = fitting.setup.in_order(state.params)
    user: Any = np.concatenate([np.asarray(learnt.user), own])
    with_them = Network().fitting(fitting.config, whole)
    params = with_them.setup.placed(Embeddings(user=user, item=learnt.item))
    return with_them.model(dataclasses.replace(state, params=params))
