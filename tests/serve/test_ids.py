"""Ids are found as `IdMap` finds them; names by words, whatever their case, accents and spaces."""

import numpy as np
import pyarrow as pa
import pytest

from jaxrec.data.ids import IdMap
from jaxrec.data.names import part_name
from jaxrec.serve.ids import Ids, Names, item_table, search_key
from tests.serve.bundles import IDS, NAMES, NUM_LISTED

ALL = np.ones(len(NAMES), bool)


@pytest.fixture
def names() -> Names:
    table = item_table(IdMap(np.array(IDS, object), np.array(NAMES, object)))
    return Names(table, np.array([1, 1, 3, 1, 2, 1, 0]))


@pytest.mark.parametrize(
    ("ids", "wanted"),
    [
        (["a", "b", "é", "日本"], ["b", "日本", "é", "c", "", 1, None, "A"]),
        ([-5, 3, 2**62], [3, "3", " 3", "03", 2**70, "x", -5, True, 2**62, None, "", 4]),
        ([], ["a", 1]),
    ],
)
def test_ids_are_found_as_in_training(ids: list[object], wanted: list[object]) -> None:
    kind = np.int64 if ids and isinstance(ids[0], int) else object
    known = IdMap(np.array(ids, kind))
    found = Ids(pa.array(ids, pa.int64() if kind is np.int64 else pa.string()))
    expected = [-1 if each is None else known.index_of([each])[0] for each in wanted]
    assert found.index_of(wanted).tolist() == expected
    assert [found[index] for index in range(len(found))] == ids


def test_a_name_is_parted_where_title_and_artist_were_joined() -> None:
    assert part_name("A — B — C") == ("A — B", "C")
    assert part_name("A - B") == ("A - B", "")


def test_names_are_compared_without_case_accents_and_more_than_single_spaces() -> None:
    assert search_key("  ÉtÉ\u00a0 du  Straße ") == "ete du strasse"
    assert search_key("e\u0301") == search_key("\u00e9") == "e"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("rain", [2, 1, 3]),  # most users first
        ("CAFE", [4, 1]),
        ("zaz ete", [0]),
        ("zaz", [2, 0]),
        ("dance rain", [3]),
        ("un", [6, 4]),  # begins with it, though nobody listens to it
        ("s5", [5]),  # has no name: by its id
        ("nothing", []),
        ("  ", []),
        ("\u0301", []),
        ("%_", []),
    ],
)
def test_a_search_finds_every_name_with_all_words(
    names: Names, text: str, found: list[int]
) -> None:
    wanted = found if text != "un" else [4, 6]
    assert names.search(text, limit=10, among=ALL).tolist() == wanted


def test_names_that_begin_with_the_text_come_first(names: Names) -> None:
    assert names.search("rain d", limit=10, among=ALL).tolist() == [3]
    assert names.search("r", limit=2, among=ALL).tolist() == [2, 1]
    assert names.search("z", limit=9, among=ALL).tolist() == [2, 0]
    only = np.arange(len(NAMES)) < NUM_LISTED
    assert names.search("moon", limit=9, among=only).tolist() == []


def test_rows_are_matched_by_artist_and_title_or_title_alone(names: Names) -> None:
    found = names.match(
        ["RAIN", "rain", "rain", "ete", "Rain dance", "s5", "nothing", "Rain"],
        ["the cafe", "", "Nobody else", "", "", "", "", "  zaz "],
    )
    assert found.tolist() == [1, 2, -1, 0, 3, 5, -1, 2]


def test_what_has_no_name_is_called_by_its_id(names: Names) -> None:
    assert names.titles(np.array([1, 5])) == ["Rain", "s5"]
    assert names.artists(np.array([1, 5])) == ["The Café", ""]
    assert names.any_named
    nameless = item_table(IdMap(np.array([3, 5])))
    assert not Names(nameless, np.array([1, 1])).any_named
    assert Names(nameless, np.array([1, 1])).titles(np.array([1])) == ["5"]
