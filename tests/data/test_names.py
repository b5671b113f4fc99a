"""Artists by names, and limits by artist."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jaxrec.data.ids import IdMap
from jaxrec.data.names import artist_numbers, first_of_each


def test_equal_artists_have_equal_numbers_and_unknown_ones_none() -> None:
    names = np.array(["Rain — Zaz", "Sun", "", "Snow — Zaz", "A — B — Café"], object)
    numbers = artist_numbers(IdMap(np.arange(5), names))
    assert numbers.tolist() == [0, -1, -1, 0, 1]
    assert artist_numbers(IdMap(np.arange(3))).tolist() == [-1, -1, -1]


@given(
    st.lists(st.lists(st.integers(-1, 3), min_size=6, max_size=6), min_size=1, max_size=5),
    st.integers(1, 3),
)
def test_as_many_stay_as_counting_down_the_row_says(rows: list[list[int]], most: int) -> None:
    found = first_of_each(np.array(rows), most)
    for row, kept in zip(rows, found.tolist(), strict=True):
        for place, number in enumerate(row):
            assert kept[place] == (number < 0 or row[:place].count(number) < most)
