"""Histories: rows of items, taken apart and put together without a change."""

import numpy as np

from jaxrec.models.histories import UNKNOWN, Histories
from tests.models.problems import histories_of, random_plays


def rows_of(histories: Histories) -> list[tuple[int, dict[int, float]]]:
    """Each history's user, and the weights by item."""
    ends = zip(histories.offsets[:-1], histories.offsets[1:], strict=True)
    return [
        (
            int(user),
            dict(zip(histories.items[a:b].tolist(), histories.weights[a:b].tolist(), strict=True)),
        )
        for user, (a, b) in zip(histories.users, ends, strict=True)
    ]


def test_all_are_every_users_with_weights_from_plays() -> None:
    table = np.array([[0, 3, 1], [0, 0, 0], [2, 0, 0]])
    assert rows_of(histories_of(table, "raw")) == [(0, {1: 3, 2: 1}), (1, {}), (2, {0: 2})]
    assert rows_of(histories_of(table, "binary")) == [(0, {1: 1, 2: 1}), (1, {}), (2, {0: 1})]
    np.testing.assert_array_equal(histories_of(table, "raw").matrix().toarray(), table)


def test_an_item_named_twice_counts_once_and_order_is_of_no_matter() -> None:
    found = Histories.of_items([np.array([4, 1, 4]), np.zeros(0, int), np.array([0])], 6)
    assert rows_of(found) == [(UNKNOWN, {1: 1, 4: 1}), (UNKNOWN, {}), (UNKNOWN, {0: 1})]
    assert found.num_items == 6 and found.items.dtype == np.int32
    assert len(Histories.of_items([], 6)) == 0


def test_any_are_taken_in_any_order_and_again() -> None:
    histories = histories_of(random_plays(0, users=12, items=9))
    every = rows_of(histories)
    places = np.array([5, 0, 5, 11, 3])
    assert rows_of(histories.take(places)) == [every[place] for place in places]
    assert len(histories.take(np.zeros(0, int))) == 0


def test_strangers_have_the_same_histories_and_entries_stand_alone() -> None:
    histories = histories_of(random_plays(1, users=4, items=6))
    strangers = [(UNKNOWN, row) for _, row in rows_of(histories)]
    assert rows_of(histories.of_strangers()) == strangers
    alone = rows_of(histories.entry_by_entry())
    assert alone == [(UNKNOWN, {i: w}) for _, row in strangers for i, w in row.items()]
    rows = histories.entry_rows()
    assert [sum(rows == row) for row in range(4)] == [len(row) for _, row in strangers]
