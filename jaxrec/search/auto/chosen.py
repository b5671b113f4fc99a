"""The choice for a split: cut, tried, chosen; by its journal it goes on where it was stopped."""

import dataclasses
import functools
import hashlib
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

from jaxrec.config import RunConfig, field_value, fixed_fields, with_fields
from jaxrec.data.interactions import Interactions
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.rank.measure import check_found, is_found
from jaxrec.report.console import Console, in_words
from jaxrec.search.auto.by_time import choose_history, searches
from jaxrec.search.auto.calibrate import expected_seconds
from jaxrec.search.auto.journal import NAME, Journal
from jaxrec.search.auto.network_search import SMALL
from jaxrec.search.auto.parts import LATER, Part, Parts, validation_parts
from jaxrec.search.auto.plan import EARLIER, Plan, more_parts, parts_and_users, plan
from jaxrec.search.auto.recipe import Recommendation, choose
from jaxrec.search.auto.searches import Cost, Search, Size
from jaxrec.search.auto.weights import fixed_weights
from jaxrec.search.space import NOT_SEARCHED


def choose_for(
    split: Split, config: RunConfig, given: Set[str], workdir: Path | None, console: Console
) -> Recommendation:
    """Chooses for a split's train part; its other parts are not looked at.

    Args:
      split: train, and how it was cut.
      config: what isn't searched.
      given: fields that were set and are to be kept even at their defaults.
      workdir: a folder that the caller holds the lock of, for the journal; None for none.
      console: where to say what comes out.

    Raises:
      UserError: nothing can be held out to choose by, or nothing of it is to be found by
        `eval.seen`, or all weights are fixed at 0, or the folder holds another search.
    """
    fixed = frozenset(
        each for each in fixed_fields(config) | given if each.split(".")[0] not in NOT_SEARCHED
    )
    effort = config.auto.effort
    parts, users = _parts(split, config)
    network, fresh = parts.network, parts.fresh
    both = list(dict.fromkeys([*network, *fresh]))
    planned = plan(
        Size.of(network[0].split.train),
        effort,
        parts=len(network),
        closed_forms=parts.closed_forms,
        fresh=0 if fresh is network else len(fresh),
    )
    more = searches(network[0].split.train, config, effort)
    more = tuple(dataclasses.replace(each, parts=parts.closed_forms) for each in more)
    planned = dataclasses.replace(planned, searches=(*more, *planned.searches))
    if "blend.models" in fixed:
        planned = dataclasses.replace(planned, searches=_named(planned, config.blend.models))
    # Before anything is tried, as weights may leave nothing to blend.
    fixed_weights(config, fixed, [search.method for search in planned.searches])
    identity = _identity(split, config, fixed, both)
    journal = Journal(None if workdir is None else workdir / NAME, identity)
    if len(journal):
        console.note(f"going on in {workdir} after {len(journal):,} answers")
    base = with_fields(config, {"method": "gcn"})
    console.note(
        f"\nauto, effort {effort}: {len(both)} validation parts of {users:,} users at most; "
        f"{_expected(planned, base, fixed, network[0], console)}"
    )
    base = choose_history(base, fixed, network, journal, console)
    return choose(base, fixed, planned, parts, journal, console)


def _parts(split: Split, config: RunConfig) -> tuple[Parts, int]:
    """The parts that are chosen by, and of how many users each.

    Where one is before the other the blend's are all: it is the latest that is most like test.
    """
    size, kind = Size.of(split.train), split.protocol["kind"]
    count, users = parts_and_users(size, config.auto.effort)
    more = more_parts(size, config.auto.effort)
    cut = functools.partial(validation_parts, split.train, kind, users=users)
    if kind in LATER:
        first, *others = cut(count + max(more, EARLIER), seed=config.seed)
        check_found(first.split, config.eval.seen)
        found = [first, *(part for part in others if is_found(part.split, config.eval.seen))]
        chosen_by = found[:count]
        fresh = found if len(found) > count else chosen_by
        return Parts(chosen_by, fresh, len(chosen_by), lambda: chosen_by), users
    network = cut(count, seed=config.seed)
    check_found(network[0].split, config.eval.seen)

    def closed_forms() -> list[Part]:
        try:
            return cut(more, seed=config.seed, both_ways=True)
        except UserError:  # nothing that train knows; at random there is something
            return network

    fresh = cut(more, seed=config.seed + more, both_ways=True)  # there are no more of the network's
    return Parts(network, fresh, more, closed_forms), users


def _expected(
    planned: Plan, config: RunConfig, fixed: frozenset[str], part: Part, console: Console
) -> str:
    """How long it will take, in words."""
    if len(part.split.train) < SMALL:  # to measure would take as long
        return "less than a minute or two"
    for search in planned.searches:
        if search.trained:
            own = {name: each for name, each in search.start.items() if name not in fixed}
            config = with_fields(config, own)
    searches = [  # where epochs are fixed there are no more for the best settings
        dataclasses.replace(
            each,
            longer={} if "epochs" in fixed else each.longer,
            slowest=1.0 if fixed & each.dear.keys() else each.slowest,
        )
        for each in planned.searches
    ]
    planned = dataclasses.replace(planned, searches=tuple(searches))
    seconds = expected_seconds(planned, config, part.split, console.progress)
    return f"{in_words(seconds)}, by how long a little of each kind of work takes here now"


def _named(planned: Plan, methods: Sequence[str]) -> tuple[Search, ...]:
    """The searches of some methods; those that have none are taken as they are set."""
    known = {search.method: search for search in planned.searches}
    costs: dict[str, Cost] = {"ease": "inverse", "slim": "regressions"}
    return tuple(
        known.get(name, Search(name, {}, [], 1, costs.get(name, "products"))) for name in methods
    )


def _identity(
    split: Split, config: RunConfig, fixed: frozenset[str], parts: Sequence[Part]
) -> dict[str, Any]:
    held_out = [part.split.validation for part in parts]
    digests = "".join(each.fingerprint() for each in held_out if each is not None)
    chosen_by = hashlib.sha256(digests.encode()).hexdigest()
    fields = {
        "seed": config.seed,
        "auto.effort": config.auto.effort,
        "eval.metric": config.eval.metric,
        "eval.seen": config.eval.seen,
        "data.weight": config.data.weight,
        "data (train interactions, SHA-256)": split.fingerprints["train"],
        "data (train plays and times, SHA-256)": _digest(split.train),
        "data.split": split.protocol["kind"],
        "validation (interactions, SHA-256)": chosen_by,
    }
    return fields | {name: _plain(field_value(config, name)) for name in sorted(fixed)}


def _digest(train: Interactions) -> str:
    digest = hashlib.sha256(train.plays.astype("<f8").tobytes())
    if train.timestamp is not None:
        digest.update(train.timestamp.astype("<i8").tobytes())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
