"""A limit per artist, of a model, of its bundle and by mistake."""

from pathlib import Path

import pyarrow as pa
import pytest

import jaxrec as jr
from tests.api.groups import table


@pytest.fixture(scope="module")
def model() -> jr.Recommender:
    plain = table()
    artists = pa.array(["Zaz" if item[1] in "01" else "Who" for item in plain["item"].to_pylist()])
    listens = jr.read(
        plain.append_column("artist", artists).append_column("title", plain["item"]),
        name="title",
        artist="artist",
    )
    return jr.fit(jr.split(listens, "none").train, method="itemknn")


def artists_of(lists: pa.Table) -> list[list[str]]:
    """By user the artists of the list, best first."""
    found: dict[object, list[str]] = {}
    for row in lists.to_pylist():
        found.setdefault(row["user"], []).append(row["name"].rpartition(" — ")[2])
    return list(found.values())


def test_no_artist_is_listed_more_often_by_the_model_and_by_its_bundle(
    model: jr.Recommender, tmp_path: Path
) -> None:
    model.export(tmp_path / "bundle")
    for each in (model, jr.load(tmp_path / "bundle")):
        one = each.recommend(k=4, seen="include", per_artist=1)
        assert [sorted(artists) for artists in artists_of(one)] == [["Who", "Zaz"]] * 8
        two = each.recommend(histories=[["a0", "a1"]], k=8, seen="include", per_artist=2)
        assert artists_of(two)[0].count("Zaz") == artists_of(two)[0].count("Who") == 2
        every = each.recommend(k=8, seen="include", per_artist=8)
        assert every.equals(each.recommend(k=8, seen="include"))


@pytest.mark.parametrize("most", [0, True, 1.5])
def test_a_limit_is_a_number_of_items(model: jr.Recommender, most: int) -> None:
    with pytest.raises(jr.UserError, match=r"per_artist is .*; expected None or a whole number"):
        model.recommend(per_artist=most)


def test_artists_must_be_known(tmp_path: Path) -> None:
    model = jr.fit(jr.split(jr.read(table()), "none").train, method="itemknn")
    model.export(tmp_path / "bundle")
    for each in (model, jr.load(tmp_path / "bundle")):
        with pytest.raises(jr.UserError, match="no item's name tells of an artist"):
            each.recommend(per_artist=1)
