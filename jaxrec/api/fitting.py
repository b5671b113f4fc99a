"""Models out: fitted to a history."""

import sys
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from jaxrec.api.recommender import Recommender
from jaxrec.api.words import plain_errors
from jaxrec.config import RunConfig, flat_fields, read_config, to_json
from jaxrec.data.interactions import Interactions
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.models.method import Hooks
from jaxrec.rank.measure import check_found
from jaxrec.report.console import Console
from jaxrec.runs.compilation import keep_compiled
from jaxrec.runs.lock import locked
from jaxrec.runs.methods import fit_model, is_automatic
from jaxrec.runs.run import run
from jaxrec.runs.stop import StopRequest
from jaxrec.search.auto.chosen import choose_for


def fit(
    train: Interactions | Split,
    method: str | None = None,
    *,
    config: RunConfig | None = None,
    workdir: str | Path | None = None,
    quiet: bool = False,
    **fields: Any,
) -> Recommender:
    """Fits a model.

    >>> model = jr.fit(groups, method="gcn", epochs=5, lr=0.05, model={"dim": 8})
    >>> model.recommend(["u0"], k=1)["item"].to_pylist()
    ['a0']

    Args:
      train: what to learn from: `split.train`, or a whole split, of which train is learnt from
        and validation may stop the training early (with `eval={"patience": 3}`, in a `workdir`).
      method: `gcn` (the network, the default), `most_popular`, `itemknn`, `rp3beta`, `ease`,
        `slim`, `ials`, `gfcf`, `walks`, `blend` or `auto`, which chooses what suits the data by
        parts of `split.train` that it cuts itself; where listens have times, `own_plays`,
        `recent_popular`, `transitions` and `sessions`, too.
      config: a whole configuration to start from; None for the defaults.
      workdir: a folder for the run: it is saved there as it goes, measured at the end, and goes on
        where it was stopped. None keeps nothing.
      quiet: True to be shown nothing; else how far it is, on standard error.
      **fields: fields of the configuration by name, groups as dicts: `epochs=20`,
        `loss={"name": "softmax"}`, `blend={"models": ("gcn", "ease")}`. docs/config.md has them.

    Raises:
      UserError: a field or the data can't be used, or the folder holds another run.
      RunError: the loss became NaN or infinite, or a checkpoint couldn't be saved.
    """
    with plain_errors():
        chosen: dict[str, Any] = dict(fields) | {"quiet": quiet}
        if method is not None:
            chosen["method"] = method
        settings = read_config(_merge({} if config is None else to_json(config), chosen))
        split = train if isinstance(train, Split) else _only_train(train)
        if workdir is not None:  # then it is measured
            check_found(split, settings.eval.seen)
        keep_compiled()
        if is_automatic(settings):
            given = frozenset(flat_fields(chosen))
            settings = _chosen(split, settings, given, workdir, _console(quiet))
        if workdir is None:
            hooks = Hooks(_console(quiet).progress)
            return Recommender(fit_model(settings, split.train, hooks), settings, split)
        with StopRequest(settings.checkpoint.grace_seconds) as stop:
            done = run(split, settings, Path(workdir), stop, _console(quiet))
        return Recommender(done.fitted.model, settings, split)


def _chosen(
    split: Split, settings: RunConfig, given: Set[str], workdir: str | Path | None, console: Console
) -> RunConfig:
    """What auto chooses; its journal lies in the run's folder where there is one."""
    if settings.auto.refit:
        raise UserError(
            "config.auto.refit is True, which the command line alone does; expected a fit to all "
            'there is, as fit(split(listens, "none"), "auto")'
        )
    if workdir is None:
        return choose_for(split, settings, given, None, console).config
    with locked(Path(workdir), console.warning):
        return choose_for(split, settings, given, Path(workdir), console).config


def _console(quiet: bool) -> Console:
    """One that leaves standard output to the caller."""
    return Console(quiet=quiet, stream=sys.stderr)


def _only_train(train: Interactions) -> Split:
    if not isinstance(train, Interactions):
        raise UserError(
            f"train is a {type(train).__name__}; expected split.train or a split, from "
            "split(read(...))"
        )
    return Split(train, None, None, {"kind": "none", "cold": {}}, known=train.known)


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The base with the changes, group by group."""
    merged = dict(base)
    for name, value in changes.items():
        known = merged.get(name, {})
        is_group = isinstance(value, Mapping) and isinstance(known, Mapping)
        merged[name] = _merge(known, value) if is_group else value
    return merged
