"""What auto tries where listens have times: rivals that know them, and how listens age."""

import itertools
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxrec.config import RunConfig, with_fields
from jaxrec.data.interactions import Interactions
from jaxrec.models.method import Hooks
from jaxrec.models.model import Model
from jaxrec.models.transitions import sequences
from jaxrec.rank.measure import Measure
from jaxrec.report.console import Console
from jaxrec.runs.methods import fit_model
from jaxrec.search.auto.journal import Journal
from jaxrec.search.auto.parts import Part
from jaxrec.search.auto.searches import TRIED, Effort, Search

WEIGHT, HALF_LIFE = "history.weight", "history.half_life_days"
LEARNT = "history.learnt_half_life_days"
WEIGHTS = ("binary", "log", "raw")
HALF_LIVES = (None, 90.0, 30.0, 14.0, 7.0, 3.0, 1.0)
LEARNT_HALF_LIVES = (365.0, 180.0, 90.0, 30.0, 10.0)  # beside None, the slower first
SESSION_GAP, ENDLESS = 30.0, 1e9  # minutes
SOME = 0.05  # of the listens
# Cheap, and together good at what is new and at what is heard again.
PROBE: dict[str, Any] = {
    "method": "blend",
    "blend.models": ("rp3beta", "own_plays"),
    "blend.weights.rp3beta": 1.0,
    "blend.weights.own_plays": 1.0,
}


def searches(train: Interactions, config: RunConfig, effort: Effort) -> tuple[Search, ...]:
    """One for each method that needs times; none where there are none."""
    if train.events is None:
        return ()
    tried = TRIED[effort]
    popular, transitions = "baseline.recent_popular", "baseline.transitions"
    gap = session_gap(train)
    found = [
        Search(
            "recent_popular",
            {f"{popular}.half_life_days": 7.0},
            [(f"{popular}.half_life_days", (1.0, 3.0, 7.0, 14.0, 30.0, 90.0))],
            max(tried, 4),
            "products",
        ),
        Search(
            "transitions",
            {
                f"{transitions}.gap_minutes": gap,
                f"{transitions}.window": 10,
                f"{transitions}.backwards": 1.0,
                f"{transitions}.beta": 0.3,
                f"{transitions}.shrink": 5.0,
            },
            [
                (f"{transitions}.beta", (0.0, 0.15, 0.3, 0.45, 0.6)),
                (f"{transitions}.backwards", (0.0, 0.3, 1.0)),
                (f"{transitions}.window", (1, 3, 10, 20)),
                (f"{transitions}.shrink", (0.0, 2.0, 5.0, 10.0)),
            ],
            max(tried, 8),
            "products",
        ),
        Search(
            "sessions",
            {
                "baseline.sessions.gap_minutes": gap,
                "baseline.sessions.alpha": 0.6,
                "baseline.sessions.beta": 0.0,
            },
            [
                ("baseline.sessions.beta", (0.0, 0.15, 0.3)),
                ("baseline.sessions.alpha", (0.4, 0.6, 0.8, 1.0)),
            ],
            tried,
            "products",
        ),
    ]
    if config.eval.seen != "exclude":  # else they find nothing
        found.insert(0, Search("own_plays", {}, [], 1, "products"))
    return tuple(found)


def session_gap(train: Interactions) -> float:
    """Minutes without a listen that end a session: 30, unless hardly a listen follows so soon.

    Times that are days, or places in an order, say nothing of sessions; then a user's listens are
    one.
    """
    events = train.listens()
    _, session = sequences(train, events, 60 * SESSION_GAP)
    follow = len(events) - len(np.unique(session))
    return SESSION_GAP if follow >= SOME * len(events) else ENDLESS


def choose_history(
    config: RunConfig,
    fixed: frozenset[str],
    parts: Sequence[Part],
    journal: Journal,
    console: Console,
) -> RunConfig:
    """The configuration with the weights by which listens count best when lists are made.

    They are chosen once for all methods, which share them, with two that cost little: nothing is
    fitted anew for other weights of the users' own listens, only for those of what is learnt.

    Args:
      config: what isn't chosen here.
      fixed: fields that are not to be changed.
      parts: train and validation; where their listens have no times, or none of the fields is
        free, nothing is chosen.
      journal: keeps what is found out.
      console: where it is shown.
    """
    free = [name for name in (WEIGHT, HALF_LIFE, LEARNT) if name not in fixed]
    if not free or any(part.split.train.events is None for part in parts):
        return config
    question = {"history": free, "probe": list(PROBE["blend.models"])}
    answer = journal.get(question)
    if answer is None:
        answer = _best(config, free, parts, console)
        journal.put(question, answer)
    words = " ".join(f"{name.partition('.')[2]}={each}" for name, each in answer["fields"].items())
    console.note(f"history   {answer['score']:.4f}  {words}")
    return with_fields(config, answer["fields"])


def _best(
    config: RunConfig, free: Sequence[str], parts: Sequence[Part], console: Console
) -> dict[str, Any]:
    """The fields that rank best: first those that need no fit, then how what is learnt ages."""
    values = {WEIGHT: WEIGHTS, HALF_LIFE: HALF_LIVES}
    models = _fit(config, parts, console)
    tried: list[tuple[float, dict[str, Any]]] = []
    for choice in itertools.product(*(values[name] for name in free if name in values)):
        fields = dict(zip((name for name in free if name in values), choice, strict=True))
        tried.append((_score(with_fields(config, fields), parts, models), fields))
    best, fields = max(tried, key=lambda each: each[0])  # of equals the first, the plainest
    for half_life in LEARNT_HALF_LIVES if LEARNT in free else ():
        changed = fields | {LEARNT: half_life}
        own = with_fields(config, changed)
        tried.append((_score(own, parts, _fit(own, parts, console)), changed))
    best, fields = max(tried, key=lambda each: each[0])
    return {"score": best, "fields": fields}


def _fit(config: RunConfig, parts: Sequence[Part], console: Console) -> list[Model]:
    probe = with_fields(config, PROBE)
    return [fit_model(probe, part.split.train, Hooks(console.progress)) for part in parts]


def _score(config: RunConfig, parts: Sequence[Part], models: Sequence[Model]) -> float:
    return statistics.fmean(
        Measure(config, part.split, peek=False).score("validation", model)
        for part, model in zip(parts, models, strict=True)
    )
