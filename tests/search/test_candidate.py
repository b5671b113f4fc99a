"""A trial: the mean over its cuts, counted at its best epoch."""

import dataclasses
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from jaxrec.config import RunConfig, with_fields
from jaxrec.data.splits import Split
from jaxrec.models.model import Model
from jaxrec.rank.measure import Measure
from jaxrec.report.console import Console
from jaxrec.runs.prepare import prepare_cuts, prepare_split
from jaxrec.search.candidate import Candidate, fit_candidate
from jaxrec.train.network import NetworkFitting
from tests.checkerboard import SMALL
from tests.search.searches import SEARCHED

MakeConfig = Callable[..., RunConfig]


@pytest.mark.parametrize("method", ["itemknn", "gcn", "blend"])
def test_a_candidate_scores_the_mean_over_its_cuts(
    checkerboard_config: MakeConfig, method: str
) -> None:
    config = checkerboard_config(
        **SEARCHED | SMALL,
        method=method,
        blend__models=("gfcf", "itemknn"),
        epochs=1,
        tune__cuts=3,
    )

    def score(config: RunConfig, cuts: Sequence[Split]) -> float:
        found = fit_candidate(
            config, cuts, Console(quiet=True), description="", give_up=lambda *_: False
        )
        return found.score

    cuts = prepare_cuts(config, Console(quiet=True))
    alone = [score(with_fields(config, {"seed": k}), [cut]) for k, cut in enumerate(cuts)]
    assert len(set(alone)) > 1
    assert score(config, cuts) == pytest.approx(sum(alone) / 3, rel=1e-12)


@pytest.mark.parametrize("keep_models", [True, False])
def test_models_that_are_not_kept_are_in_memory_one_at_a_time(
    checkerboard_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, *, keep_models: bool
) -> None:
    config = checkerboard_config(**SEARCHED, method="itemknn", tune__cuts=3)
    scored: list[weakref.ref[Model]] = []
    alive: list[int] = []

    def score(_: Measure, part: str, model: Model) -> float:
        del part
        scored.append(weakref.ref(model))
        alive.append(sum(each() is not None for each in scored))
        return 0.5

    monkeypatch.setattr(Measure, "score", score)
    found = fit_candidate(
        config,
        prepare_cuts(config, Console(quiet=True)),
        Console(quiet=True),
        description="",
        give_up=lambda *_: False,
        keep_models=keep_models,
    )
    assert alive == ([1, 2, 3] if keep_models else [1, 1, 1])
    assert len(found.models) == (3 if keep_models else 0)


def test_a_candidate_counts_at_its_best_epoch_or_with_a_schedule_at_its_last(
    checkerboard_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scored(scores: list[float], **changes: Any) -> tuple[Candidate, list[int]]:
        config = checkerboard_config(**SEARCHED, epochs=5, **changes)
        left = iter(scores)
        monkeypatch.setattr(Measure, "score", lambda *_: next(left))
        monkeypatch.setattr(NetworkFitting, "advance", lambda _, state, *__, **___: (state, 0.1))
        told: list[int] = []

        def give_up(epoch: int, score: float) -> bool:
            told.append(epoch)
            return score == 0.0

        split = prepare_split(config, Console(quiet=True))
        found = fit_candidate(config, [split], Console(quiet=True), description="", give_up=give_up)
        return dataclasses.replace(found, models=()), told

    assert scored([0.1, 0.3, 0.3, 0.2, 0.2]) == (Candidate(0.3, 2), [1, 2, 3, 4])
    assert scored([0.3, 0.2, 0.1], eval__every_epochs=2) == (Candidate(0.3, 2), [2, 4])
    assert scored([0.3, 0.2, 0.1], eval__patience=2) == (Candidate(0.3, 1), [1, 2, 3])
    assert scored([0.3, 0.0]) == (Candidate(0.3, 1, pruned=True), [1, 2])
    assert scored([0.3, 0.4, 0.3, 0.1, 0.2], lr_schedule="cosine", eval__patience=1) == (
        Candidate(0.2, 5),
        [1, 2, 3, 4],
    )
