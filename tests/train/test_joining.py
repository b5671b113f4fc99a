"""Put into the graph with the vectors that training gave, those left out are as trained."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxrec.gcn.embeddings import Embeddings
from jaxrec.models.histories import Histories
from jaxrec.models.method import Hooks
from jaxrec.report.console import Console
from jaxrec.runs.prepare import prepare_split
from jaxrec.train.joining import Joiners, joined, own_vectors
from jaxrec.train.network import Network
from tests.checkerboard import config_of, write_checkerboard

SOFTMAX = {"loss__name": "softmax", "loss__negatives": 64}
NOBODY = np.zeros(0, np.int32)


@pytest.mark.parametrize(
    "changes",
    [{"model__layers": 1}, {"data__weight": "raw", "walks__weight": 2.0} | SOFTMAX],
    ids=["BPR, one layer", "softmax, plays and walks"],
)
def test_with_the_vectors_that_training_gave_it_is_the_trained_model(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    config = config_of(write_checkerboard(tmp_path / "listens.csv"), **changes)
    train = prepare_split(config, Console(quiet=True)).train
    fitting = Network().fitting(config, train)
    state, _ = fitting.advance(fitting.fresh(), 0, Hooks(Console(quiet=True).progress))
    wanted = fitting.model(state)
    everyone = Histories.of_all(train, config.data.weight)

    out = np.array([0, 5, 17])
    rest = train.select(~np.isin(train.user, out))
    params = Embeddings(
        user=state.params.user.at[out].set(9.0), item=state.params.item
    )  # what is where they were doesn't matter: nothing is known of them
    joiners = Joiners(
        everyone.take(out).of_strangers(), train.plays[np.isin(train.user, out)], NOBODY
    )
    found = joined(
        fitting,
        dataclasses.replace(state, params=params),
        joiners.added_to(rest),
        np.asarray(state.params.user)[out],
    )
    users = everyone.users.copy()
    users[out] = train.num_users + np.arange(3)
    scores = np.asarray(found.scores(dataclasses.replace(everyone, users=users)))
    expected = np.asarray(wanted.scores(everyone))
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    # One whom training knew with less is taken out where they were.
    more = everyone.take(np.array([3]))
    again = Joiners(more.of_strangers(), train.plays[train.user == 3], np.array([3]))
    grown = joined(fitting, state, again.added_to(train), np.asarray(state.params.user)[[3]])
    moved = dataclasses.replace(more, users=np.array([train.num_users], np.int32))
    np.testing.assert_allclose(
        np.asarray(grown.scores(moved)), expected[3:4], rtol=0, atol=1e-5 * np.abs(expected).max()
    )


@pytest.mark.parametrize("changes", [SOFTMAX, {}], ids=["softmax", "BPR"])
def test_the_vector_solved_for_makes_up_the_whole_with_the_sum(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    config = config_of(write_checkerboard(tmp_path / "listens.csv"), **changes)
    train = prepare_split(config, Console(quiet=True)).train
    fitting = Network().fitting(config, train)
    state = fitting.fresh()
    strangers = Histories.of_all(train, "binary").of_strangers()
    own = own_vectors(fitting, state, strangers)
    assert (np.abs(own).max(axis=1) > 0).all()
    fold_in = fitting.setup.fold_in(state.params)
    item = np.asarray(fitting.setup.final_embeddings(state.params).item)
    whole = fold_in.sums(strangers) + fitting.setup.convolution.own_weight * own
    np.testing.assert_allclose(whole, fold_in.vectors(strangers, item), atol=1e-5)
