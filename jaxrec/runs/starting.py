"""Where a run starts from: another run's network, opened from its folder."""

import hashlib
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from jaxrec.data.ids import IdMap
from jaxrec.errors import UserError
from jaxrec.gcn.embeddings import Embeddings
from jaxrec.runs.trained import Trained, open_trained
from jaxrec.train.carrying import Start
from jaxrec.train.network import NetworkFitting


def start_of(folder: Path) -> Start:
    """What the network of a run has learnt, of the users and items that it learnt from.

    Args:
      folder: of a run of the network, or of a blend with it.

    Raises:
      UserError: there is no such run, or the model was saved without its parameters.
    """
    run = open_trained(folder, None)
    learnt = params_of(run)
    if learnt is None:
        raise UserError(
            f"--init_from={folder}: a model of {run.config.method} without a network's parameters; "
            "expected the folder of a run of the network, or of a blend with it"
        )
    train = run.split.train
    users, user = known_rows(train.users, train.user, np.asarray(learnt.user))
    items, item = known_rows(train.items, train.item, np.asarray(learnt.item))
    digest = hashlib.sha256()
    for ids, table in ((users, user), (items, item)):
        digest.update("\n".join(map(repr, ids.ids.tolist())).encode())
        digest.update(table.astype("<f4").tobytes())
    params = Embeddings(user=jnp.asarray(user), item=jnp.asarray(item))
    return Start(users, items, params, digest.hexdigest())


def params_of(run: Trained) -> Embeddings | None:
    """Layer 0 of the run's network, in the data's order; None where it has none."""
    if run.made_of is not None and isinstance(fitting := run.made_of[0], NetworkFitting):
        params: Embeddings = fitting.setup.in_order(run.made_of[1].params)
        return params
    found = (params_of(member) for member in run.members.values())
    return next((each for each in found if each is not None), None)


def known_rows(ids: IdMap, used: np.ndarray, table: np.ndarray) -> tuple[IdMap, np.ndarray]:
    """The ids that were learnt from, with their rows; of others the rows are noise."""
    index = np.unique(used)
    return IdMap(ids.ids[index]), table[index]
