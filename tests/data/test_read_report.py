"""What is said of a history: each figure by hand, and what is odd about it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Listens, aggregate
from jaxrec.data.meaning import Columns
from jaxrec.data.read_report import portray, without_identical
from jaxrec.errors import UserError
from tests.data.reading import read_listens

ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-3, 3)), min_size=1, max_size=25
)


def history(rows: list[tuple[int, int, int]]) -> Listens:
    """Listens of user, item and time, ids of 4 users and 3 items."""
    table = np.array(rows, np.int64).reshape(-1, 3)
    return Listens(
        user=table[:, 0].astype(np.int32),
        item=table[:, 1].astype(np.int32),
        plays=np.arange(1.0, len(rows) + 1),
        timestamp=table[:, 2],
        users=IdMap(np.array(["a", "b", "null", "z"], object)),
        items=IdMap(np.array([5, 6, 7])),
    )


def test_the_figures_of_a_small_history():
    portrait = portray(history([(0, 0, 9), (0, 0, 9), (0, 1, 9), (1, 0, 0), (2, 0, 4), (2, 0, 9)]))
    assert (portrait.listens, portrait.users, portrait.items) == (6, 3, 2)
    assert (portrait.first, portrait.last, portrait.at_zero) == (0, 9, 1)
    assert (portrait.identical, portrait.tied_share) == (1, 3 / 6)
    assert portrait.top_user == ("a", 3 / 6) and portrait.top_item == ("5", 5 / 6)
    assert portrait.words == (("user", "null", 2),)


@settings(max_examples=100)
@given(ROWS)
def test_repeats_are_counted_and_dropped_as_counting_by_hand_does(rows):
    listens = history(rows)
    portrait = portray(listens)
    assert portrait.identical == len(rows) - len(set(rows))
    times = [(user, time) for user, _, time in rows]
    assert portrait.tied_share == sum(times.count(time) > 1 for time in times) / len(rows)
    left = without_identical(listens)
    found = zip(left.user.tolist(), left.item.tolist(), left.timestamp.tolist(), strict=True)
    assert list(found) == list(dict.fromkeys(rows))  # the first of each, in their order
    assert left.plays.tolist() == [1.0 + rows.index(row) for row in dict.fromkeys(rows)]


@pytest.mark.parametrize("word", ["null", "None", "NaN", "NA", "\\N", "nan"])
def test_words_for_nothing_are_told(tmp_path, word):
    path = tmp_path / "a.csv"
    path.write_text(f"user,item\nu,{word}\nv,{word}\n{word},x\n")
    (listens,), _ = read_listens([path], columns=Columns("user", "item"))
    assert set(portray(listens).words) == {("item", word, 2), ("user", word, 1)}


def test_identical_rows_are_dropped_on_request(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("user,item,time\nu,x,5\nu,x,5\nu,x,6\nv,x,5\n")
    columns = Columns("user", "item", timestamp="time")
    (listens,), report = read_listens([path], columns=columns, identical_rows="drop")
    assert (len(listens), report.identical) == (3, 1)
    assert aggregate(listens).plays.tolist() == [2, 1]
    with pytest.raises(
        UserError, match="identical_rows is 'drop', expected 'keep' where no column"
    ):
        read_listens([path], columns=Columns("user", "item"), identical_rows="drop")


class TestRatings:
    ROWS = "user,item,stars\na,1,5\na,1,4\na,2,3\na,2,2\na,3,1\nb,1,4\nb,2,5\nb,3,4.5\nb,4,-1\n"

    def test_the_threshold_counts_per_row_and_ratings_do_not_add_up(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text(self.ROWS)
        columns = Columns("user", "item", rating="stars")
        (listens,), report = read_listens([path], columns=columns, min_rating=4)
        pairs = aggregate(listens)
        assert pairs.users.ids[pairs.user].tolist() == ["a", "b", "b", "b"]
        assert pairs.items.ids[pairs.item].tolist() == [1, 1, 2, 3]
        assert pairs.plays.tolist() == [1, 1, 1, 1]
        assert report.low_rating == 4
        known = listens.known
        assert known.items.ids[known.item].tolist() == [2, 3]  # of a; b's 4 is nobody's

    def test_a_rating_needs_a_threshold_and_a_threshold_a_rating(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text(self.ROWS)
        with pytest.raises(UserError, match="min_rating isn't; expected the least rating"):
            read_listens([path], columns=Columns("user", "item", rating="stars"))
        with pytest.raises(UserError, match="min_rating is 4, expected none where no column"):
            read_listens([path], columns=Columns("user", "item"), min_rating=4)
        with pytest.raises(UserError, match=r"a.csv:2: rating is 'x', expected a number"):
            path.write_text("user,item,stars\na,1,x\n")
            read_listens([path], columns=Columns("user", "item", rating="stars"), min_rating=4)

    def test_a_vote_below_0_in_a_column_of_plays_says_the_way_and_is_known(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text("user,item,vote\na,1,1\na,2,-1\nb,2,1\nb,1,1\n")
        columns = Columns("user", "item", plays="vote")
        with pytest.raises(UserError) as error:
            read_listens([path], columns=columns)
        for field in ("config.data.columns.rating", "config.data.on_bad_rows=skip"):
            assert field in str(error.value)
        (listens,), report = read_listens([path], columns=columns, on_bad_rows="skip")
        assert (len(listens), report.skipped, len(listens.known)) == (3, 1, 1)
