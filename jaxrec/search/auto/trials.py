"""Settings fitted to the parts of train and scored: each once, whatever stops come between."""

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxrec.config import RunConfig, with_fields
from jaxrec.data.splits import Split
from jaxrec.errors import RunError, UserError
from jaxrec.models.model import Model
from jaxrec.report.console import Console
from jaxrec.search.auto.climb import Axis, climb
from jaxrec.search.auto.journal import Journal
from jaxrec.search.auto.searches import Search
from jaxrec.search.candidate import fit_candidate, fit_models

PLAIN = {"walks.weight": 0.0, "ranking.length_exponent": 1.0}

# Training is given up where at the same epoch the best so far was so much better, from an epoch on
# and from a part of all: of 162 settings that were tried after others, at effort normal, 50 became
# the best, and none of them was as far behind. What is dearer than the best must keep up with it
# (docs/lab/auto-time.md).
GIVE_UP_FROM, GIVE_UP_FROM_PART = 8, 5
GIVE_UP_BELOW, GIVE_UP_DEARER_BELOW = 0.98, 0.995


@dataclasses.dataclass(frozen=True, eq=False)
class Finalist:
    """The best that a method can do.

    Attributes:
      method: its name.
      settings: by field, those that were chosen and those that go with them.
      score: the mean of `eval.metric` over the parts, of users cut at random.
      tried: how many settings were.
    """

    method: str
    settings: dict[str, Any]
    score: float
    tried: int

    @property
    def name(self) -> str:
        """The method, with the walks that are in its scores."""
        return f"{self.method} with walks" if self.settings.get("walks.weight") else self.method


class _Tried(NamedTuple):
    """Settings with the epochs that were best, what came of them, and what that counts for."""

    settings: dict[str, Any]
    answer: dict[str, Any]
    worth: float


def _worth(tried: _Tried) -> float:
    return tried.worth


class Trials:
    """Fits and scores settings.

    Args:
      config: all that isn't searched.
      fixed: fields that are not to be changed.
      parts: train and validation.
      purpose: of the parts, a word that tells their answers in the journal from those of others.
      journal: of what is known.
      console: where to say what comes out.
      keep_models: whether the best settings' models are kept for `models`; else that fits anew.
    """

    def __init__(
        self,
        config: RunConfig,
        fixed: frozenset[str],
        parts: Sequence[Split],
        purpose: str,
        journal: Journal,
        console: Console,
        *,
        keep_models: bool = True,
    ) -> None:
        self._keep_models = keep_models
        self._config, self._fixed, self._parts, self._purpose = config, fixed, parts, purpose
        self._journal, self._console = journal, console
        self._fitted: dict[str, tuple[dict[str, Any], tuple[Model, ...]]] = {}

    def search(self, search: Search) -> Finalist | None:
        """The best settings of a method; None where none of them can be used."""
        start = {name: each for name, each in search.start.items() if name not in self._fixed}
        axes = [self._within(axis, start) for axis in search.axes if axis[0] in start]
        tried: list[_Tried] = []

        def score(settings: Mapping[str, Any]) -> float:
            leader = max(tried, key=_worth, default=None)
            answer = self._answer(search, settings, leader)
            epochs = {} if answer["epochs"] is None else {"epochs": answer["epochs"]}
            worth = -math.inf
            if answer["score"] is not None:
                worth = answer["score"] / search.price(settings)
            tried.append(_Tried(dict(settings) | epochs, answer, worth))
            return worth

        climb(start, axes, score, most=search.most)
        best = max(tried, key=_worth)  # of equals the first
        if best.answer["score"] is None:
            return None
        longer = {name: each for name, each in search.longer.items() if name in start}
        if "epochs" in longer and self._was_gaining(search.method, best.settings, start["epochs"]):
            score(best.settings | longer)
            best = max(tried, key=_worth)
        return Finalist(search.method, best.settings, best.answer["score"], len(tried))

    def forget(self) -> None:
        """Lets go of the models that are kept: of large data they are large."""
        self._fitted.clear()

    def models(self, finalist: Finalist) -> tuple[Model, ...]:
        """What a finalist ranks by, one model for each part; fitted unless this has been done."""
        known = self._fitted.get(finalist.method)
        if known is None or known[0] != finalist.settings:
            self._console.note(f"{finalist.method}: fitting the best settings")
            config = self.config_of(finalist.method, finalist.settings)
            if "epochs" in finalist.settings:  # those that were best, of however many are fixed
                config = with_fields(config, {"epochs": finalist.settings["epochs"]})
            models = fit_models(config, self._parts, self._console, description=finalist.method)
            self._fitted[finalist.method] = known = finalist.settings, models
        return known[1]

    def config_of(self, method: str, settings: Mapping[str, Any]) -> RunConfig:
        """The configuration that a method is tried with: what counts at ranking comes later."""
        chosen = {name: each for name, each in settings.items() if name not in self._fixed}
        return with_fields(self._config, chosen | PLAIN | {"method": method})

    def _was_gaining(self, method: str, settings: Mapping[str, Any], epochs: int) -> bool:
        """Whether so many epochs ended before patience did."""
        looks = self.config_of(method, settings).eval
        last_wait = max(1, looks.patience) * looks.every_epochs
        return bool(settings["epochs"] + last_wait > epochs)

    def _within(self, axis: Axis, start: Mapping[str, Any]) -> Axis:
        field, values = axis
        return (field, values) if start[field] in values else (field, (start[field],))

    def _answer(
        self, search: Search, settings: Mapping[str, Any], leader: _Tried | None
    ) -> dict[str, Any]:
        """What comes of some settings: score, epochs, the scores by epoch, seconds; or an error.

        Args:
          search: of the method.
          settings: its settings.
          leader: the best so far.
        """
        method = search.method
        question = {"method": method, "settings": dict(settings), "parts": self._purpose}
        answer = self._journal.get(question)
        if answer is None:
            answer = {"score": None, "epochs": None, "curve": {}}
            own: dict[str, float] = answer["curve"]

            def give_up(epoch: int, score: float) -> bool:
                own[str(epoch)] = score
                part = self.config_of(method, settings).epochs // GIVE_UP_FROM_PART
                first = max(GIVE_UP_FROM, part)
                if leader is None or leader.answer["score"] is None or epoch < first:
                    return False
                before = leader.answer["curve"].get(str(epoch))
                ratio = search.price(settings) / search.price(leader.settings)
                below = GIVE_UP_DEARER_BELOW if ratio > 1 else GIVE_UP_BELOW
                return before is not None and score / ratio < below * before

            begin = time.perf_counter()
            try:
                found = fit_candidate(
                    self.config_of(method, settings),
                    self._parts,
                    self._console,
                    description=method,
                    give_up=give_up,
                    keep_models=self._keep_models,
                )
                answer |= {"score": found.score, "epochs": found.epochs}
                best = -math.inf if leader is None else leader.worth
                if self._keep_models and found.score / search.price(settings) > best:
                    epochs = {} if found.epochs is None else {"epochs": found.epochs}
                    self._fitted[method] = dict(settings) | epochs, found.models
            except (RunError, UserError) as error:  # of these settings; others may do
                answer["error"] = str(error).partition(". ")[0]
            answer["seconds"] = round(time.perf_counter() - begin, 1)
            self._journal.put(question, answer)
        self._say(method, settings, answer)
        return dict(answer)

    def _say(self, method: str, settings: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        words = " ".join(
            f"{name.rpartition('.')[2]}={each}"
            for name, each in settings.items()
            if name not in _UNSAID
        )
        if answer["score"] is None:
            self._console.note(f"{method:9} {words}: {answer['error']}")
            return
        epochs = "" if answer["epochs"] is None else f" epochs={answer['epochs']}"
        self._console.note(
            f"{method:9} {answer['score']:.4f}  {words}{epochs}  ({answer['seconds']:.0f} s)"
        )


_UNSAID = (
    *("eval.every_epochs", "eval.patience", "epochs", "batch_size", "model.init_stddev"),
    *("loss.name", "loss.sampler", "loss.negatives", "loss.l2"),
)
