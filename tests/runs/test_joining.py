"""Whatever a run's model is, its songs can know of listens of after training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxrec import commands
from jaxrec.config import RunConfig, with_fields
from jaxrec.errors import UserError
from jaxrec.models.histories import Histories
from jaxrec.models.method import Hooks, unseen
from jaxrec.runs.joining import join
from jaxrec.runs.methods import fit_model
from jaxrec.runs.saving import save_trained
from jaxrec.runs.trained import Trained, open_trained
from jaxrec.train.joining import Joiners
from tests.checkerboard import config_of, write_checkerboard

BLEND = {"method": "blend", "blend__models": ("gcn", "itemknn", "ease")}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Trained]:
    folder, done = tmp_path_factory.mktemp("joining"), {}
    path = write_checkerboard(folder / "listens.csv")
    changes: dict[str, dict[str, Any]] = {
        "blend": BLEND,
        "ease": {"method": "ease"},
        "gcn": {"loss__name": "softmax", "loss__negatives": 64},
    }

    def open_(name: str) -> Trained:
        if name not in done:
            commands.train(config_of(path, epochs=1, quiet=True, **changes[name]), folder / name)
            done[name] = open_trained(folder / name, None)
        return done[name]

    return open_


def joiners(run: Trained) -> Joiners:
    """Two who know songs of two groups each, which nobody of training does."""
    rows = [np.array([0, 1, 10, 11], np.int32), np.array([20, 21, 30], np.int32)]
    histories = Histories.of_items(rows, run.split.train.num_items)
    return Joiners(histories, np.ones(7), np.zeros(0, np.int32))


@pytest.mark.parametrize("name", ["blend", "ease", "gcn"])
def test_songs_that_joiners_join_come_closer(opened: Callable[[str], Trained], name: str) -> None:
    run = opened(name)
    found = join(run, joiners(run), Hooks(unseen))
    alone = Histories.of_items([np.array([0], np.int32)], run.split.train.num_items)
    before, after = (np.asarray(each.scores(alone))[0] for each in (run.model, found))

    def lead(scores: np.ndarray) -> float:
        """How far the songs that a joiner knows beside it are above the others of their group."""
        return float(scores[[10, 11]].mean() - scores[12:20].mean())

    assert lead(after) > lead(before)


def test_a_method_that_is_fitted_at_once_is_as_if_they_had_been_there(
    opened: Callable[[str], Trained],
) -> None:
    run = opened("ease")
    whole = joiners(run).added_to(run.split.train)
    expected = fit_model(run.config, whole, Hooks(unseen))
    found = join(run, joiners(run), Hooks(unseen))
    histories = joiners(run).histories
    np.testing.assert_array_equal(found.scores(histories), expected.scores(histories))


def test_a_network_that_was_saved_without_its_parameters_is_refused(
    opened: Callable[[str], Trained], tmp_path: Path
) -> None:
    for name in ("gcn", "blend"):
        run = opened(name)
        save_trained(tmp_path / name, run.config, run.split, run.model)
        saved = open_trained(tmp_path / name, None)
        with pytest.raises(UserError, match="saved without the parameters"):
            join(saved, joiners(run), Hooks(unseen))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"history.learnt_half_life_days": 7.0}, r"learnt_half_life_days is 7\.0"),
        ({"method": "transitions"}, "transitions is fitted to the times"),
        (
            {"method": "blend", "blend.models": ("ease", "recent_popular")},
            "recent_popular is fitted to the times",
        ),
    ],
)
def test_times_of_two_readings_are_refused(
    opened: Callable[[str], Trained], changes: dict[str, Any], message: str
) -> None:
    run = opened("ease")
    config: RunConfig = with_fields(run.config, changes)
    with pytest.raises(UserError, match=f"--join: .*{message}"):
        join(Trained(config, run.split, run.model, None), joiners(run), Hooks(unseen))
