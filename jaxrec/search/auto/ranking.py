"""What counts at ranking alone, for a trained network: the items' lengths, and walks beside it."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from jaxrec.config import field_value
from jaxrec.gcn.graph import BipartiteGraph
from jaxrec.models.factors import Factors, with_length_exponent
from jaxrec.models.histories import Histories
from jaxrec.models.model import Model
from jaxrec.models.walks import beside_walks, graph_of, unit_factors, walks
from jaxrec.search.auto.climb import climb
from jaxrec.search.auto.measured import Measured
from jaxrec.search.auto.pool import Pool

Values: TypeAlias = dict[str, float]  # of the fields

LENGTH, WEIGHT, EXPONENT, LONGER = FIELDS = (
    "ranking.length_exponent",
    "walks.weight",
    "walks.exponent",
    "walks.longer",
)
ENDS = "walks.ends"
# What does well by validation whatever the data: of 343 combinations the one that loses least on
# six data sets, in the median, and of lengths alone, too, where there are no walks.
USUAL: Values = {LENGTH: 0.8, WEIGHT: 4.0, EXPONENT: 0.2, LONGER: 0.6}
# Others must gain more than so many standard errors over it: hundreds are compared, and the best of
# them is in part the luckiest (docs/lab/auto-parts.md).
CAUTION = 1.0
# Where to begin: many, as the fields hang together and scores are rough.
STARTS = [
    USUAL,
    *(
        dict(zip(FIELDS, each, strict=True))
        for each in itertools.product((1.0, 0.5), (1.0, 4.0), (0.05, 0.35), (0.0, 0.6))
    ),
]
VALUES: Mapping[str, tuple[float, ...]] = {
    LENGTH: (0.35, 0.5, 0.65, 0.8, 1.0, 1.25, 1.5, 2.0),
    WEIGHT: (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0),
    EXPONENT: (0.05, 0.2, 0.35, 0.5, 0.65),
    LONGER: (0.0, 0.3, 0.6),
}
ORDER = (WEIGHT, LENGTH, EXPONENT, LONGER, WEIGHT, LENGTH)  # in which they are climbed


class Choice(NamedTuple):
    """Values of the fields, and how good they are: `Measured.score`."""

    values: Values
    score: float


def choose_ranking(
    trained: Sequence[Model], measured: Measured, fixed: frozenset[str], *, with_walks: bool
) -> tuple[Choice, Choice, Choice]:
    """The fields' values that rank best, the usual ones, and these without walks.

    Nothing is trained again.

    By recall and NDCG together, as one alone is more of a matter of luck, and with caution: by what
    is gained over the usual values beyond the error of its mean over users.

    Args:
      trained: the network's models without walks, one for each part.
      measured: the parts.
      fixed: fields that are not to be changed.
      with_walks: False: walks are left out unless their weight is fixed.
    """
    own = {name: float(field_value(measured.config, name)) for name in FIELDS if name in fixed}
    if not with_walks:
        own = {WEIGHT: 0.0} | own
    values = {**VALUES, **{name: (value,) for name, value in own.items()}}
    if values[WEIGHT] == (0.0,):  # nothing hangs on the others
        values |= {EXPONENT: (), LONGER: ()}
    ends = list(itertools.product(values[EXPONENT], values[LONGER]))
    scored = _Scored(trained, measured, values[LENGTH], ends)
    usual = USUAL | own
    compared = scored.figures(usual)[0]
    known: dict[tuple[tuple[str, float], ...], float] = {}

    def score(chosen: Values) -> float:
        some = tuple(each for each in _weights(chosen).items() if each[1])
        if some not in known:
            gains = scored.figures(chosen)[0] - compared
            known[some] = float(gains.mean() - CAUTION * gains.std() / np.sqrt(len(gains)))
        return known[some]

    axes = [(name, values[name]) for name in ORDER if values[name]]
    found = [climb(start | own, axes, score, most=1_000) for start in STARTS]
    best = max(found, key=score)  # of equals the first
    choices = (best, usual, usual | {WEIGHT: own.get(WEIGHT, 0.0)})
    first, second, third = (Choice(each, scored.score(each)) for each in choices)
    return first, second, third


def holds(chosen: Values, usual: Values, trained: Sequence[Model], measured: Measured) -> bool:
    """Whether chosen values are as good as the usual ones by every rule that cut some parts.

    How much popularity counts best differs between the rules, and test may have been cut by either.

    Args:
      chosen: by other parts.
      usual: what they are compared with.
      trained: the network's models without walks, one for each part.
      measured: the parts.
    """
    both = chosen, usual
    ends = [(each[EXPONENT], each[LONGER]) for each in both if each[WEIGHT]]
    scored = _Scored(trained, measured, [each[LENGTH] for each in both], ends)
    gains = zip(*(scored.figures(each) for each in both), strict=True)
    return all(new.mean() >= old.mean() for new, old in gains)


class _Scored:
    """A network's models with some values of what counts at ranking.

    Its scores for a length exponent are the plain ones times a number of the item, and those of
    walks a sum of two kinds, of three steps and of five: so few models score every item, however
    many values there are.

    Args:
      trained: without walks, one for each part.
      measured: the parts.
      lengths: values of LENGTH.
      ends: pairs of EXPONENT and LONGER.
    """

    def __init__(
        self,
        trained: Sequence[Model],
        measured: Measured,
        lengths: Sequence[float],
        ends: Sequence[tuple[float, float]],
    ) -> None:
        lengths, ends = list(dict.fromkeys(lengths)), list(dict.fromkeys(ends))
        by_part = [
            _variants(_factors(model), known, lengths, histories, ends)
            for model, known, histories in zip(
                trained, measured.known, measured.histories, strict=True
            )
        ]
        self._measured = measured
        self._pools = [
            dataclasses.replace(pool, scores=variants.of(pool))
            for pool, variants in zip(
                measured.pools(
                    [each.scoring for each in by_part],
                    leaders=[each.leaders for each in by_part],
                    standardise=False,
                ),
                by_part,
                strict=True,
            )
        ]

    def figures(self, chosen: Values) -> list[np.ndarray]:
        """Each user's mean of the two metrics, by the rule that cut the user's validation."""
        by_rule = self._measured.figures(self._pools, _weights(chosen))
        return [each.mean(axis=1) for each in by_rule]

    def score(self, chosen: Values) -> float:
        """As of `Measured.score`."""
        return self._measured.score(self._pools, _weights(chosen))


@dataclasses.dataclass(frozen=True, eq=False)
class _Variants:
    """How scores of one part's network and walks come of those of few models.

    Attributes:
      scoring: the network as it is, and walks of three steps and of five, to any end alike.
      leaders: those that differ most: what the others list is nearly always among their lists.
      of_length: by length exponent, what a score is multiplied by for each item.
      of_ends: by walks' exponent, the same.
      ends: the pairs of exponent and `longer` that there are.
    """

    scoring: dict[str, Model]
    leaders: list[Model]
    of_length: dict[float, np.ndarray]
    of_ends: dict[float, np.ndarray]
    ends: Sequence[tuple[float, float]]

    def of(self, pool: Pool) -> dict[str, np.ndarray]:
        """The scores by each exponent and pair: [n, size] float32."""
        there, items = pool.items >= 0, np.maximum(pool.items, 0)
        known = {name: np.where(there, each, 0) for name, each in pool.scores.items()}
        found = {
            _network(length): known[_PLAIN] * factor[items]
            for length, factor in self.of_length.items()
        }
        for exponent, longer in self.ends:
            three, five = known[_THREE], known[_FIVE]
            sums = three + np.float32(longer) * (five - three)
            found[_walks(exponent, longer)] = sums * self.of_ends[exponent][items]
        for each in found.values():
            each[~there] = -np.inf
        return found


_PLAIN, _THREE, _FIVE = "network", "walks of three steps", "less those of five"


def _variants(
    trained: Factors,
    known: np.ndarray,
    lengths: Sequence[float],
    histories: Histories,
    ends: Sequence[tuple[float, float]],
) -> _Variants:
    plain = unit_factors(trained, known)
    networks = {
        length: unit_factors(with_length_exponent(trained, length), known) for length in lengths
    }
    own = _lengths_of(plain)
    of_length = {
        length: np.divide(_lengths_of(each), own, where=own > 0, out=np.zeros_like(own))
        for length, each in networks.items()
    }
    scoring: dict[str, Model] = {_PLAIN: plain}
    leaders: list[Model] = [networks[each] for each in sorted({min(lengths), max(lengths)})]
    of_ends: dict[float, np.ndarray] = {}
    if ends:
        graph = _graph(histories)
        filters = {each: walks(graph, exponent=each, longer=0.0) for each, _ in ends}
        by_popularity = sorted(ends, key=lambda each: (each[0], -each[1]))
        leaders += [
            dataclasses.replace(filters[exponent], longer=longer)
            for exponent, longer in dict.fromkeys((by_popularity[0], by_popularity[-1]))
        ]
        of_ends = {exponent: each.ends for exponent, each in filters.items()}
        any_end = filters[ends[0][0]]
        alike = dataclasses.replace(any_end, ends=np.ones_like(any_end.ends))
        for name, longer in ((_THREE, 0.0), (_FIVE, 1.0)):
            scoring[name] = dataclasses.replace(alike, longer=longer)
    return _Variants(scoring, leaders, of_length, of_ends, ends)


def _lengths_of(factors: Factors) -> np.ndarray:
    return np.asarray(np.linalg.norm(factors.item, axis=1), np.float32)


def _weights(chosen: Mapping[str, float]) -> dict[str, float]:
    return {
        _network(chosen[LENGTH]): 1.0,
        _walks(chosen[EXPONENT], chosen[LONGER]): chosen[WEIGHT],
    }


def ranked(
    trained: Sequence[Model], measured: Measured, settings: Mapping[str, Any]
) -> list[Model]:
    """The network's models as they rank with the fields' values in some settings."""
    found: list[Model] = []
    for model, histories, known in zip(trained, measured.histories, measured.known, strict=True):
        factors = with_length_exponent(_factors(model), settings[LENGTH])
        if settings[WEIGHT] == 0:
            found.append(factors)
            continue
        filtered = walks(_graph(histories), exponent=settings[EXPONENT], longer=settings[LONGER])
        found.append(beside_walks(factors, filtered, settings[WEIGHT], known))
    return found


def _factors(model: Model) -> Factors:
    assert isinstance(model, Factors)
    return model


def _graph(histories: Histories) -> BipartiteGraph:
    """The graph that the network learns from, which is the one that its walks go through."""
    return graph_of(histories.as_learnt().matrix())


def _network(length: float) -> str:
    return f"network {length}"


def _walks(exponent: float, longer: float) -> str:
    return f"walks {exponent} {longer}"
