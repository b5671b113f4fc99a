"""What a caller may do wrong or unexpectedly is answered in words, and nothing is lost."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import jaxrec as jr
from jaxrec.runs import saving
from tests.api.groups import table


@pytest.fixture(scope="module")
def model() -> jr.Recommender:
    return jr.fit(jr.split(jr.read(table()), "none").train, method="itemknn", quiet=True)


def test_nobody_and_nothing_have_tables_too(model: jr.Recommender) -> None:
    for found in (model.recommend([], k=2), model.recommend(histories=[], k=2)):
        assert found.num_rows == 0
        assert found.column_names == ["user", "rank", "item", "score"]


@pytest.mark.parametrize("k", [0, -1, 2.5, "3", True])
def test_a_length_is_a_whole_number(model: jr.Recommender, k: Any) -> None:
    for ask in (lambda: model.recommend(["u0"], k=k), lambda: model.similar("a0", k=k)):
        with pytest.raises(jr.UserError, match=r"k is .*; expected a whole number of at least 1"):
            ask()


def test_what_is_no_history_or_split_is_told(model: jr.Recommender) -> None:
    for histories in (["a0"], [5]):
        with pytest.raises(jr.UserError, match="expected a list of items for each listener"):
            model.recommend(histories=histories)
    with pytest.raises(jr.UserError, match="history 0 is empty"):
        model.recommend(histories=[[]])
    with pytest.raises(jr.UserError, match="listens is a Table; expected what read"):
        jr.split(table())
    with pytest.raises(jr.UserError, match="split is a Listens; expected what split"):
        jr.evaluate(model, jr.read(table()))
    with pytest.raises(jr.UserError, match="ks has 0; expected whole numbers"):
        jr.evaluate(model, model.split, ks=(0,))


def test_histories_may_come_from_anywhere(model: jr.Recommender) -> None:
    wanted = model.recommend(histories=[["a0", "a1"], ["b0"]], k=2)
    assert wanted.num_rows == 4
    found = model.recommend(histories=(iter(row) for row in (["a0", "a1"], ["b0"])), k=2)
    assert found.equals(wanted)


def test_nobody_is_not_the_listener_whose_id_is_their_word() -> None:
    named = pa.table({"user": ["None", "None", "bob"], "item": ["s1", "s2", "s1"]})
    model = jr.fit(jr.split(jr.read(named), "none").train, method="most_popular", quiet=True)
    assert model.recommend(["None"], seen="include").num_rows == 2
    with pytest.raises(jr.UserError, match="user None: the model knows no such user"):
        model.recommend([None])


@pytest.mark.parametrize(
    "moment",
    [
        *("2021-03-04", "20210304", "4 Mar 2021", "2021-03-04T05:30+05:30", 1_614_816_000),
        *(datetime.date(2021, 3, 4), datetime.datetime(2021, 3, 4, microsecond=900_000)),
        datetime.datetime(
            2021, 3, 4, 5, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=5.5))
        ),
    ],
)
def test_a_moment_is_read_as_the_times_are(moment: Any) -> None:
    day = datetime.datetime(2021, 3, 4, tzinfo=datetime.UTC).timestamp()
    heard = table(when=[day + 5 * row % 24 - 12 for row in range(24)])
    parts = jr.split(jr.read(heard, timestamp="when"), "time", moment=moment)
    assert parts.protocol["moment"] == day


@pytest.mark.parametrize("moment", ["yesterday", 1.5, True])
def test_what_is_no_moment_is_told(moment: Any) -> None:
    listens = jr.read(table(when=list(range(24))), timestamp="when")
    with pytest.raises(jr.UserError, match=r"^moment is .*expected .*2024-05-31"):
        jr.split(listens, "time", moment=moment)


def test_a_folder_is_called_as_the_argument_is(tmp_path: Path, model: jr.Recommender) -> None:
    with pytest.raises(jr.UserError, match=r"^folder=.*nothing: no run there"):
        jr.load(tmp_path / "nothing")
    model.save(tmp_path / "model")
    with pytest.raises(jr.UserError, match=r"^folder=.*already.*a folder of its own"):
        model.save(tmp_path / "model")
    with pytest.raises(jr.UserError, match=r"^workdir=.*a workdir of its own"):
        jr.fit(model.split, method="itemknn", workdir=tmp_path / "model", quiet=True)


def test_what_the_command_line_alone_does_is_told(model: jr.Recommender) -> None:
    with pytest.raises(jr.UserError, match=r"^auto.refit is True, .*; expected a fit to all"):
        jr.fit(model.split, "auto", auto={"refit": True}, quiet=True)


def test_a_notebook_shows_a_line(model: jr.Recommender) -> None:
    listens = jr.read(table())
    parts = jr.split(listens, seed=0)
    for each in (listens, parts, parts.train, model):
        assert len(repr(each)) < 120 and "array" not in repr(each)


def test_what_was_left_out_of_learning_is_not_listed_whatever_is_fitted_to() -> None:
    rated = table(rating=[1.0 if row % 5 == 0 else 4.0 for row in range(24)])
    parts = jr.split(jr.read(rated, rating="rating", min_rating=3.0), "none")
    assert parts.known is not None
    known = set(zip(parts.known.user.tolist(), parts.known.item.tolist(), strict=True))
    for train in (parts, parts.train):
        found = jr.fit(train, method="itemknn", quiet=True)
        rows = found.recommend(k=8)
        users = parts.train.users.index_of(rows["user"].to_pylist())
        items = parts.train.items.index_of(rows["item"].to_pylist())
        assert not known & set(zip(users.tolist(), items.tolist(), strict=True))


def test_conditions_may_be_on_columns_that_have_no_other_meaning() -> None:
    kinds = table(kind=["listen" if row % 4 else "skip" for row in range(24)])
    assert len(jr.read(kinds, keep="kind == listen")) == 18
    assert len(jr.read(kinds, drop="kind == listen")) == 6


def test_a_saved_model_is_no_run_to_go_on_with(model: jr.Recommender, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    said = (tmp_path / "model" / "config.json").read_bytes()
    with pytest.raises(jr.UserError, match="holds a model that was saved"):
        jr.fit(model.split, method="itemknn", workdir=tmp_path / "model", quiet=True)
    with pytest.raises(jr.UserError, match="holds a run or a model already"):
        model.save(tmp_path / "model")
    assert (tmp_path / "model" / "config.json").read_bytes() == said


def test_a_save_that_failed_can_be_made_again(
    model: jr.Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise jr.RunError("no space left")

    with monkeypatch.context() as patched, pytest.raises(jr.RunError, match="no space left"):
        patched.setattr(saving.Checkpoints, "save", fail)
        model.save(tmp_path / "model")
    model.save(tmp_path / "model")
    lists = [each.recommend(k=1) for each in (model, jr.load(tmp_path / "model"))]
    assert lists[0].equals(lists[1])


def test_similar_items_of_a_blend_are_those_of_the_members_that_tell_items_apart() -> None:
    train = jr.split(jr.read(table()), "none").train
    weights = {"ease": 1.0, "most_popular": 1.0}
    both = jr.fit(
        train,
        method="blend",
        blend={"models": ("ease", "most_popular"), "weights": weights},
        quiet=True,
    )
    found = both.similar("a0", k=3)
    assert {item[0] for item in found["item"].to_pylist()} == {"a"}
    assert np.abs(found["similarity"].to_numpy()).max() < 100
