"""A measured run on disk: `results.json` for people, `per_user.parquet` for paired tests."""

import dataclasses
import functools
import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jaxrec.data.ids import IdMap
from jaxrec.data.options import SeenRule
from jaxrec.errors import UserError
from jaxrec.files import replacing, write_json
from jaxrec.models.method import Show
from jaxrec.models.model import Model
from jaxrec.rank.evaluate import Evaluation
from jaxrec.rank.measure import Measure
from jaxrec.rank.newcomers import VIEW, Newcomers
from jaxrec.runs.compilation import CompileClock
from jaxrec.runs.run_folder import RunFolder, is_run_of_final

View = Literal["exclude", "include", "only", "new"]  # SeenRule, and VIEW


@dataclasses.dataclass(frozen=True, eq=False)
class Results:
    """The final figures of a run, or of several seeds of one.

    Attributes:
      part: what was measured on.
      protocol: how, ready for JSON.
      metrics: by column (`model`, `most_popular`) and metric: its `mean` with `low` and `high`, and
        over seeds its `deviation` and the means of the `seeds`.
      beyond_accuracy: by column and metric, one figure over all lists.
      per_user: column `user`, the external id as text, and a float64 column for each metric of the
        model.
      step: the updates it took; None where that says nothing.
      over_seeds: of figures over seeds: the `seeds`, what they were `trained_on` and `chosen_by`,
        and the `definitions` of the figures.
      seconds: that measuring all users takes here, by what it took for those measured, without
        compiling; of every view together; None where it isn't known.
      views: the figures by each view there is, its own among them: where some of what is to be
        found was known before, by each rule of `eval.seen`; and those of newcomers, as `new`.
    """

    part: str
    protocol: dict[str, Any]
    metrics: dict[str, dict[str, dict[str, Any]]]
    beyond_accuracy: dict[str, dict[str, float]]
    per_user: pa.Table
    step: int | None = None
    over_seeds: dict[str, Any] | None = None
    seconds: float | None = None
    views: Mapping[View, "Results"] = dataclasses.field(default_factory=dict)

    @property
    def users(self) -> int:
        """How many users were measured."""
        return int(self.protocol["users"])

    @property
    def drawn_from(self) -> int | None:
        """How many there are, where not all of them were measured."""
        return self.protocol.get("users_drawn_from")

    @property
    def seen(self) -> View:
        """By which rule for what was known before, or that they are of newcomers."""
        view: View = self.protocol["seen"]
        return view

    @property
    def seeds(self) -> list[int]:
        """The seeds that the figures are over; none of a single run's."""
        return [] if self.over_seeds is None else list(self.over_seeds["seeds"])

    def to_json(self) -> dict[str, Any]:
        """All but the users' figures, the time and the views, as `results.json` has it."""
        if self.over_seeds is None:
            head: dict[str, Any] = {"step": self.step, "part": self.part}
        else:
            head = {"part": self.part, **self.over_seeds}
        return head | {
            "protocol": self.protocol,
            "metrics": self.metrics,
            "beyond_accuracy": self.beyond_accuracy,
        }

    @classmethod
    def of_json(cls, values: Mapping[str, Any], per_user: pa.Table) -> "Results":
        """What `to_json` said.

        Raises:
          KeyError, TypeError: something is missing or of another form.
        """
        over_seeds = {name: values[name] for name in _OVER_SEEDS if "seeds" in values}
        return cls(
            part=values["part"],
            protocol=dict(values["protocol"]),
            metrics=dict(values["metrics"]),
            beyond_accuracy=dict(values["beyond_accuracy"]),
            per_user=per_user,
            step=values.get("step"),
            over_seeds=over_seeds or None,
        )


VIEWS: tuple[View, ...] = get_args(View)
SEEN_RULES: tuple[SeenRule, ...] = get_args(SeenRule)
_OVER_SEEDS = ("seeds", "definitions", "trained_on", "chosen_by")


def measure_finally(measure: Measure, model: Model, *, step: int | None, show: Show) -> Results:
    """The figures of all users, or of `eval.most_users`, beside the most-popular list's.

    Measured on test where there is one, else on validation, else as reconstruction; where what is
    to be found was known in part, by each rule of `eval.seen`; and by `eval.cold` newcomers apart.

    Args:
      measure: how.
      model: what to rank with.
      step: the updates it took; None where that says nothing.
      show: shows how far it is.
    """
    candidates = {"model": model, "most_popular": measure.most_popular()}
    own, part = measure.settings.seen, measure.final_part
    rules = [rule for rule in SEEN_RULES if measure.has_any(part, rule)]
    views: dict[View, Results] = {}
    if measure.has_again(part):
        views = {rule: _of_rule(measure, candidates, rule, step, show) for rule in rules}
    results = views[own] if own in views else _of_rule(measure, candidates, own, step, show)
    newcomers = None if part != "test" else Newcomers.of(measure.split, measure.config)
    if newcomers is not None:
        of_new = functools.partial(newcomers.measure, ks=measure.settings.ks, show=show)
        views = (views or {own: results}) | {VIEW: _measured(measure, candidates, of_new, step)}
    seconds = sum(each.seconds or 0.0 for each in (views or {own: results}).values())
    return dataclasses.replace(results, views=views, seconds=seconds)


def _of_rule(
    measure: Measure, candidates: Mapping[str, Model], seen: SeenRule, step: int | None, show: Show
) -> Results:
    part, ks = measure.final_part, measure.settings.ks
    evaluate = functools.partial(measure.of_all, part, ks=ks, show=show, seen=seen)
    return _measured(measure, candidates, evaluate, step)


def _measured(
    measure: Measure,
    candidates: Mapping[str, Model],
    evaluate: Callable[[Model], Evaluation],
    step: int | None,
) -> Results:
    with CompileClock() as clock:
        columns = {name: evaluate(model) for name, model in candidates.items()}
    own = columns["model"]
    share = own.protocol["users"] / own.protocol.get("users_drawn_from", own.protocol["users"])
    return Results(
        part=measure.final_part,
        protocol=own.protocol,
        metrics={name: each.summary(seed=measure.seed) for name, each in columns.items()},
        beyond_accuracy={name: each.beyond for name, each in columns.items()},
        per_user=per_user_table(own.per_user, own.users, measure.split.train.users),
        step=step,
        seconds=clock.rest / share,
    )


def per_user_table(per_user: Mapping[str, np.ndarray], users: np.ndarray, ids: IdMap) -> pa.Table:
    """The figures of each user beside the user's id.

    Args:
      per_user: [n] float64 by metric.
      users: [n] int32, whose figures these are.
      ids: the users' external ids.

    Returns:
      Column `user`, the external id as text, and a float64 column per metric.
    """
    names = pa.array([str(each) for each in ids.ids[users].tolist()], pa.string())
    return pa.table({"user": names, **{name: pa.array(each) for name, each in per_user.items()}})


def write_results(folder: Path, results: Results) -> None:
    """Writes both files, each whole or not at all; `results.json` last, as the sign of both.

    Before them those of the views, in folders below.

    Args:
      folder: exists.
      results: whose model has the mean of each column of `per_user`.
    """
    paths = RunFolder(folder)
    shutil.rmtree(paths.views, ignore_errors=True)
    for seen, view in results.views.items():
        paths.view(seen).root.mkdir(parents=True)
        write_results(paths.view(seen).root, view)
    with replacing(paths.per_user) as temporary:
        pq.write_table(results.per_user, temporary)
    write_json(paths.results, results.to_json())


def read_results(folder: Path) -> Results:
    """Reads what `write_results` wrote.

    Raises:
      UserError: a file is missing or damaged, or the two are not of one measurement.
    """
    paths = RunFolder(folder)
    if not paths.results.exists():
        raise UserError(
            f"{folder}: no results there (no results.json); expected the folder of a run that "
            "`train` or `evaluate` has measured"
        )
    try:
        values = json.loads(paths.results.read_text(encoding="utf-8"))
        means = {name: each["mean"] for name, each in values["metrics"]["model"].items()}
        results = Results.of_json(values, pa.table({}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{paths.results}: unreadable ({type(error).__name__}); expected what `train` or "
            "`evaluate` writes"
        ) from error
    try:
        table = pq.read_table(paths.per_user)
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(
            f"{paths.per_user}: missing or unreadable; expected the figures of each user, "
            f"{_remedy(folder)}"
        ) from error
    if not _agree(table, means):
        raise UserError(
            f"{paths.per_user}: not of the measurement in results.json; expected both of one, "
            f"{_remedy(folder)}"
        )
    views = {
        rule: read_results(paths.view(rule).root)
        for rule in VIEWS
        if paths.view(rule).root.is_dir()
    }
    return dataclasses.replace(results, per_user=table, views=views)


def _remedy(folder: Path) -> str:
    if is_run_of_final(folder):
        return f"which `evaluate --final` writes again without {RunFolder(folder).results}"
    return f"which `evaluate --workdir={folder}` writes"


def _agree(table: pa.Table, means: Mapping[str, float]) -> bool:
    """A kill between the two files leaves a new one beside an old one; their means tell."""
    return set(table.column_names) == {"user", *means} and all(
        math.isclose(table[name].to_numpy().mean(), mean, rel_tol=1e-9, abs_tol=1e-12)
        for name, mean in means.items()
    )
