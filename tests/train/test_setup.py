"""What can be learnt from is told from what can't."""

import numpy as np
import pytest

from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Interactions
from jaxrec.errors import UserError
from jaxrec.gcn import native
from jaxrec.train.checks import check_learnable
from jaxrec.train.setup import build
from tests.configurations import config_with


def interactions_of(ratings: np.ndarray) -> Interactions:
    user, item = np.nonzero(ratings)
    return Interactions(
        user=user.astype(np.int32),
        item=item.astype(np.int32),
        plays=ratings[user, item],
        timestamp=None,
        users=IdMap(np.arange(ratings.shape[0])),
        items=IdMap(np.arange(ratings.shape[1])),
    )


def test_users_with_every_song_are_counted_and_refused_where_there_are_no_others() -> None:
    some = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 0]], float)
    assert check_learnable(interactions_of(some)) == 1
    with pytest.raises(UserError, match="each of the 2 users has listened to all 3 songs"):
        check_learnable(interactions_of(np.ones((2, 3))))


def test_a_batch_is_no_larger_than_the_graph() -> None:
    train = interactions_of(np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1]], float))
    batches = [build(config_with(batch_size=size), train).batches for size in (5, 10**7)]
    assert batches[0] == batches[1]
    assert batches[0].num_steps == 1


def test_a_kernel_that_can_not_be_had_is_refused_and_auto_takes_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(native, "unavailable_reason", lambda: "no compiler")
    train = interactions_of(np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1]], float))
    with pytest.raises(UserError, match=r"config\.model\.kernel is 'prefetch'.*expected auto"):
        build(config_with(model__kernel="prefetch"), train)
    assert build(config_with(), train).convolution.sums.kernel != "prefetch"
