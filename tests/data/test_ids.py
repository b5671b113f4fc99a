"""Ids, and their indices."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jaxrec.data.ids import IdMap


def test_finds_integers_also_where_they_are_written_as_text():
    id_map = IdMap(np.array([-3, 7, 10], np.int64))
    found = id_map.index_of([10, "7", np.int32(-3), 8, "x", "1_0", "7.0", "", 10**30])
    np.testing.assert_array_equal(found, [2, 1, 0, -1, -1, -1, -1, -1, -1])
    assert found.dtype == np.int32


def test_a_number_of_thousands_of_digits_is_merely_unknown():
    assert IdMap(np.array([1], np.int64)).index_of(["9" * 5000]).tolist() == [-1]


def test_finds_text_by_code_point_order():
    id_map = IdMap(np.array(["A", "Z", "a", "é", "日本"], object))
    np.testing.assert_array_equal(id_map.index_of(["日本", "a", "B", "é"]), [4, 2, -1, 3])


def test_empty_map_and_empty_question():
    empty = IdMap(np.zeros(0, np.int64))
    assert empty.index_of([1, 2]).tolist() == [-1, -1]
    assert IdMap(np.array(["a"], object)).index_of([]).tolist() == []


@given(st.sets(st.integers(-(2**63), 2**63 - 1)), st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_index_of_is_the_inverse_of_ids(ids, others):
    id_map = IdMap(np.array(sorted(ids), np.int64))
    assert id_map.index_of(id_map.ids).tolist() == list(range(len(ids)))
    assert ((id_map.index_of(others) >= 0) == [other in ids for other in others]).all()


def test_label_is_the_name_or_else_the_id():
    named = IdMap(np.array([5, 6], np.int64), np.array(["Song", ""], object))
    assert [named.label(0), named.label(1)] == ["Song", "6"]
    assert IdMap(np.array(["x"], object)).label(0) == "x"
