"""How good a recommender is, by the protocol of the command line."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxrec.api.bundled import BundledRecommender
from jaxrec.api.recommender import Recommender
from jaxrec.api.words import check_seen, plain_errors
from jaxrec.data.options import SeenRule
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.rank.evaluate import Evaluation
from jaxrec.rank.measure import Measure


def evaluate(
    model: Recommender | BundledRecommender,
    split: Split,
    *,
    ks: Sequence[int] | int = (10, 20),
    seen: SeenRule = "exclude",
) -> Evaluation:
    """Ranks all items for all users of test (else validation).

    >>> parts = jr.split(everyone, seed=0)
    >>> model = jr.fit(parts.train, method="itemknn")
    >>> sorted(jr.evaluate(model, parts, ks=(3,)).summary()["recall@3"])
    ['high', 'low', 'mean']

    Args:
      model: from `fit`, or `load` of a run or a saved model.
      split: whose train part it was fitted to.
      ks: lengths of the lists.
      seen: what users knew before: `exclude` it, `include` it, or find `only` that; for a split
        by time.

    Returns:
      The figures; `summary()` has each metric's mean with its 95% interval, `per_user` the users'.

    Raises:
      UserError: the model was fitted to other data, or there is nothing held out.
    """
    if not isinstance(model, Recommender):
        raise UserError(
            f"model is a {type(model).__name__}, which has no split of its own; expected what "
            "fit(...) returns, or load(...) of a run's folder"
        )
    if not isinstance(split, Split):
        raise UserError(f"split is a {type(split).__name__}; expected what split(...) returns")
    lengths = [ks] if isinstance(ks, int) else list(ks)
    for k in lengths:
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise UserError(f"ks has {k!r}; expected whole numbers of at least 1")
    train, own = split.train, model.split.train
    same = np.array_equal(train.users.ids, own.users.ids) and np.array_equal(
        train.items.ids, own.items.ids
    )
    if not same or not np.array_equal(train.keys(), own.keys()):
        raise UserError("the model was not fitted to split.train; expected the split it came of")
    check_seen(seen)
    settings = dataclasses.replace(model.config.eval, ks=tuple(lengths), seen=seen)
    measure = Measure(dataclasses.replace(model.config, eval=settings), split)
    if measure.held_out is None:
        raise UserError(
            "split has no validation and no test part; expected one to measure on, as of "
            'split(listens, kind="random")'
        )
    with plain_errors():
        return measure.of_all(measure.final_part, model.model, lengths)
