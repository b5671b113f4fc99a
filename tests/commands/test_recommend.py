"""`recommend` and `similar` read the run's folder alone and name what they don't know."""

import contextlib
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from jaxrec import commands
from jaxrec.errors import UserError
from jaxrec.gcn import native
from jaxrec.hosts import together
from jaxrec.rank import lists
from tests.checkerboard import config_of
from tests.recommending import recommend as recommend_by_flags


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A trained run whose data are gone, to write to."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def recommend(run: Path, **changes: Any) -> None:
    arguments: dict[str, Any] = {
        "k": 3,
        "output": None,
        "users": None,
        "users_file": None,
        "seen": "exclude",
        "step": None,
    }
    recommend_by_flags(run, **(arguments | changes))


def test_csv_and_parquet_hold_the_same_lists(run: Path, tmp_path: Path) -> None:
    recommend(run, output=tmp_path / "a.csv")
    recommend(run, output=tmp_path / "a.parquet")
    parquet = pq.read_table(tmp_path / "a.parquet")
    csv = pyarrow.csv.read_csv(tmp_path / "a.csv")
    assert parquet.column_names == csv.column_names == ["user", "rank", "item", "name", "score"]
    for name in ("user", "item", "rank"):
        assert parquet[name].to_pylist() == csv[name].to_pylist()
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]


def test_a_run_is_ranked_where_its_kernel_can_not_be_had(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recommend(run, output=tmp_path / "a.csv")
    saved = json.loads((run / "config.json").read_text())
    saved["config"]["model"]["kernel"] = "prefetch"
    (run / "config.json").write_text(json.dumps(saved))
    monkeypatch.setattr(native, "unavailable_reason", lambda: "no compiler")
    recommend(run, output=tmp_path / "b.csv")
    lists = [pyarrow.csv.read_csv(tmp_path / name) for name in ("a.csv", "b.csv")]
    assert lists[0].drop("score") == lists[1].drop("score")


def test_a_run_of_more_devices_than_there_are_here_is_ranked_and_measured(
    run: Path, tmp_path: Path
) -> None:
    recommend(run, output=tmp_path / "a.csv")
    commands.evaluate(run, config=None, step=None)
    before = (run / "results.json").read_bytes()
    saved = json.loads((run / "config.json").read_text())
    saved["config"]["mesh"]["devices"] = 64
    (run / "config.json").write_text(json.dumps(saved))
    recommend(run, output=tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    commands.evaluate(run, config=None, step=None)
    assert (run / "results.json").read_bytes() == before


def test_of_several_processes_the_first_alone_ranks(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("ranked, to no end")

    monkeypatch.setattr(together, "is_first", lambda: False)
    monkeypatch.setattr(lists, "top_within", refuse)
    recommend(run, output=tmp_path / "a.csv")
    assert not (tmp_path / "a.csv").exists()


def test_users_of_a_list_and_of_a_file_come_in_their_order(run: Path, tmp_path: Path) -> None:
    wanted = ["u2-3", "u0-1"]
    recommend(run, users=wanted, output=tmp_path / "a.parquet")
    (tmp_path / "users.txt").write_text("u2-3\r\n\nu0-1\n")
    recommend(run, users_file=tmp_path / "users.txt", output=tmp_path / "b.parquet")
    tables = [pq.read_table(tmp_path / name).to_pydict() for name in ("a.parquet", "b.parquet")]
    assert tables[0] == tables[1]
    assert list(dict.fromkeys(tables[0]["user"])) == wanted
    assert tables[0]["rank"] == [1, 2, 3, 1, 2, 3]


def test_listened_songs_are_left_out_unless_asked(run: Path, tmp_path: Path) -> None:
    recommend(run, users=["u0-0"], k=100, output=tmp_path / "new.parquet")
    recommend(run, users=["u0-0"], k=100, seen="include", output=tmp_path / "all.parquet")
    new = set(pq.read_table(tmp_path / "new.parquet")["item"].to_pylist())
    everything = set(pq.read_table(tmp_path / "all.parquet")["item"].to_pylist())
    assert len(everything) == 40
    assert everything - new == {f"s0-{item}" for item in range(1, 10)}


def test_the_default_output_lies_in_the_run(run: Path) -> None:
    recommend(run)
    assert pq.read_table(run / "recommendations.parquet").num_rows == 48 * 3


def test_some_listeners_are_drawn_and_get_the_lists_that_all_would(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = json.loads((run / "config.json").read_text())
    saved["config"]["quiet"] = False
    (run / "config.json").write_text(json.dumps(saved))
    recommend(run, output=run / "all.parquet")
    assert "lists for all" not in capsys.readouterr().out
    clock = contextlib.nullcontext(SimpleNamespace(rest=6.0))
    monkeypatch.setattr(sys.modules["jaxrec.commands.recommend"], "CompileClock", lambda: clock)
    recommend(run, sample=7, output=run / "some.parquet")
    assert "lists for all 48 users would take about 40 seconds" in capsys.readouterr().out
    everybody = pq.read_table(run / "all.parquet").to_pylist()
    some = pq.read_table(run / "some.parquet").to_pylist()
    drawn = {row["user"] for row in some}
    assert len(drawn) == 7
    assert some == [row for row in everybody if row["user"] in drawn]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"users": ["nobody"]}, "none of the 1 listeners is known; expected ids such as u0-0"),
        ({"users": ["u0-0"], "histories": Path("x")}, "--users and --histories are both set"),
        ({"histories": Path("missing.csv")}, "missing.csv: no such file"),
        ({"users": ["u0-0"], "sample": 3}, "--users and --sample are both set"),
        ({"join": True}, "--join without --histories; expected both"),
        ({"items_file": Path("missing.txt")}, "--items_file=missing.txt: .*No such file"),
        ({"exclude_file": Path("missing.csv")}, "--exclude_file=missing.csv: .*No such file"),
        ({"users": ["u0-0"], "users_file": Path("x")}, "--users and --users_file are both set"),
        ({"users_file": Path("missing.txt")}, "--users_file=missing.txt: .*No such file"),
        ({"output": Path("lists.xlsx")}, r"--output=lists.xlsx: expected a name ending in"),
        ({"output": Path("no/such/folder/a.csv")}, "--output=no/such/folder/a.csv: "),
        ({"per_artist": 1}, "--per_artist=1: no song's name tells of an artist; expected a run"),
        ({"step": 7}, "--step=7: no such checkpoint; expected one of 0, "),
    ],
)
def test_mistakes_are_named(run: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        recommend(run, **changes)


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no run there \(no config.json\)"):
        recommend(tmp_path)


@pytest.mark.parametrize("with_folder", [True, False])
def test_a_run_that_failed_before_its_first_checkpoint_is_said_to_be_untrained(
    run: Path, with_folder: bool
) -> None:
    shutil.rmtree(run / "model.ckpt")
    if with_folder:
        (run / "model.ckpt").mkdir()
    message = r"run holds no trained model yet; expected the run's `train` command first"
    with pytest.raises(UserError, match=message):
        recommend(run)
    with pytest.raises(UserError, match="--step=7: no such checkpoint" if with_folder else message):
        recommend(run, step=7)


def lists_of(path: Path) -> dict[str, list[str]]:
    """By user the items, best first."""
    table = pq.read_table(path).to_pylist()
    found: dict[str, list[str]] = {}
    for row in table:
        found.setdefault(str(row["user"]), []).append(str(row["item"]))
    return found


def test_those_unknown_are_told_and_the_others_get_their_lists(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recommend(run, users=["u0-0", "nobody"], output=tmp_path / "a.parquet")
    assert (
        "1 of 2 listeners are without training listens, such as 'nobody'" in capsys.readouterr().err
    )
    assert list(lists_of(tmp_path / "a.parquet")) == ["u0-0"]
    recommend(run, users=["nobody", "u0-0"], cold="popular", output=tmp_path / "b.parquet")
    found = lists_of(tmp_path / "b.parquet")
    assert found["u0-0"] == lists_of(tmp_path / "a.parquet")["u0-0"]
    assert len(found["nobody"]) == 3


@pytest.fixture
def histories(tmp_path: Path) -> Path:
    """Somebody new, one whose history training knew, one who has heard more, one unheard."""
    path = tmp_path / "today.csv"
    rows = [
        "new,s2-1,3",
        "new,s2-4,1",
        "new,unheard of,9",
        "u1-0,s1-1,2",
        "u0-3,s0-3,1",
        "lost,x,1",
    ]
    path.write_text("\n".join(["user,item,plays,title", *(f"{row}," for row in rows)]))
    return path


def test_histories_of_after_training_have_lists(
    run: Path, tmp_path: Path, histories: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recommend(run, histories=histories, output=tmp_path / "a.parquet", k=7)
    said = capsys.readouterr().err
    assert "2 of 6 pairs are of songs that training didn't know" in said
    assert "1 listeners have no song that training knew, such as 'lost'" in said
    found = lists_of(tmp_path / "a.parquet")
    assert set(found) == {"new", "u0-3", "u1-0"}
    assert {each[:3] for each in found["new"]} == {"s2-"}
    assert not {"s2-1", "s2-4"} & set(found["new"])
    recommend(run, users=["u1-0"], output=tmp_path / "b.parquet", k=7)
    assert found["u1-0"] == lists_of(tmp_path / "b.parquet")["u1-0"]
    # The one song that was withheld is known now: with what training had it is all of the group.
    assert not [each for each in found["u0-3"] if each.startswith("s0-")]


def test_new_listeners_may_be_put_into_the_graph(
    run: Path, tmp_path: Path, histories: Path
) -> None:
    recommend(run, histories=histories, join=True, output=tmp_path / "a.parquet", k=7)
    found = lists_of(tmp_path / "a.parquet")
    assert set(found) == {"new", "u0-3", "u1-0"}
    assert {each[:3] for each in found["new"]} == {"s2-"}
    assert not {"s2-1", "s2-4"} & set(found["new"])


def test_a_list_holds_what_may_be_listed_alone(run: Path, tmp_path: Path) -> None:
    (tmp_path / "items.txt").write_text("s3-1\ns3-2\ns3-3\nno such song\n")
    (tmp_path / "all.txt").write_text("s3-1\n")
    (tmp_path / "pairs.csv").write_text("user,item\nu0-0,s3-2\nnobody,s3-3\n")
    some: dict[str, Any] = {"users": ["u0-0", "u0-1"], "items_file": tmp_path / "items.txt"}
    for name, expected in {
        "none": [{"s3-1", "s3-2", "s3-3"}] * 2,
        "all.txt": [{"s3-2", "s3-3"}] * 2,
        "pairs.csv": [{"s3-1", "s3-3"}, {"s3-1", "s3-2", "s3-3"}],
    }.items():
        excluding = {} if name == "none" else {"exclude_file": tmp_path / name}
        recommend(run, **some, **excluding, output=tmp_path / "a.parquet", k=9)
        found = lists_of(tmp_path / "a.parquet")
        assert [set(found["u0-0"]), set(found["u0-1"])] == expected


def test_a_table_excludes_for_each_copy_of_a_listener_and_tells_whom_it_does_not_know(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "items.txt").write_text("s3-1\ns3-2\n")
    (tmp_path / "pairs.csv").write_text(
        "user,item\nu0-0,s3-2\nu0-0,x\nnobody,s3-1\nlost,s3-1\nlost,s3-2\nu2-2,s3-1\n"
    )
    recommend(
        run,
        users=["u0-0", "u0-1", "u0-0", "nobody"],
        cold="popular",
        items_file=tmp_path / "items.txt",
        exclude_file=tmp_path / "pairs.csv",
        output=tmp_path / "a.parquet",
    )
    found = [
        (row["user"], row["item"]) for row in pq.read_table(tmp_path / "a.parquet").to_pylist()
    ]
    assert found.count(("u0-0", "s3-1")) == 2 and ("u0-0", "s3-2") not in found
    assert {item for user, item in found if user == "u0-1"} == {"s3-1", "s3-2"}
    assert {item for user, item in found if user == "nobody"} == {"s3-2"}
    said = capsys.readouterr().err
    assert "pairs.csv: 1 of 4 listeners are not known, such as 'lost'" in said
    assert "pairs.csv: 1 of 3 songs are not in the training listens, such as 'x'" in said


@pytest.mark.parametrize(
    ("name", "text"),
    [("all.txt", "s3-1\ns3-2\n"), ("own.csv", "user,item\nu0-0,s3-1\nu0-0,s3-2\n")],
)
def test_nothing_left_to_list_is_an_error(run: Path, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "items.txt").write_text("s3-1\ns3-2\n")
    (tmp_path / name).write_text(text)
    some = {"items_file": tmp_path / "items.txt", "exclude_file": tmp_path / name}
    with pytest.raises(UserError, match=rf"items\.txt with .*{name}: no song is left to list"):
        recommend(run, users=["u0-0"], **some, output=tmp_path / "a.csv")
    assert not (tmp_path / "a.csv").exists()


def test_excluded_ids_are_matched_as_ids_of_training_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{user},{item}\n" for user in range(4) for item in range(6) if (user + item) % 3]
    (tmp_path / "listens.csv").write_text("user,item\n" + "".join(rows))
    config = config_of(
        tmp_path / "listens.csv",
        method="itemknn",
        data__columns__plays=None,
        data__columns__item_name=None,
    )
    commands.train(config, tmp_path / "run")
    lists = {}
    for name, text in {"as is": "0,3\n", "padded": "00,03\n", "float": "0.0,3.0\n"}.items():
        (tmp_path / "pairs.csv").write_text("user,item\n" + text)
        recommend(
            tmp_path / "run",
            users=["0", "00"],
            seen="include",
            k=6,
            exclude_file=tmp_path / "pairs.csv",
            output=tmp_path / "a.parquet",
        )
        lists[name] = lists_of(tmp_path / "a.parquet")["0"]
    assert lists["as is"] == lists["padded"] and "3" not in lists["as is"]
    assert lists["float"].count("3") == 2
    said = capsys.readouterr().err
    assert "1 of 1 listeners are not known, such as '0.0'" in said
    assert "1 of 1 songs are not in the training listens, such as '3.0'" in said


def test_ids_that_are_no_whole_numbers_or_text_are_refused(run: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"user": ["u0-0"], "item": [1045.0]}), tmp_path / "pairs.parquet")
    with pytest.raises(UserError, match="column 'item' holds double; expected integers or text"):
        recommend(run, exclude_file=tmp_path / "pairs.parquet")


def test_reasons_add_up_to_the_score(run: Path, tmp_path: Path, histories: Path) -> None:
    recommend(run, users=["u0-0", "u3-4"], because=2, output=tmp_path / "a.parquet")
    rows = pq.read_table(tmp_path / "a.parquet").to_pylist()
    greatest = max(abs(row["score"]) for row in rows)
    for row in rows:
        told = json.loads(row["because"])
        assert len(told["items"]) == 2 and set(told["rest"]) == {"other items", "own"}
        total = sum(song["contribution"] for song in told["items"]) + sum(told["rest"].values())
        assert total == pytest.approx(row["score"], abs=1e-5 * greatest)
        assert {song["item"][:3] for song in told["items"]} == {f"s{row['user'][1]}-"}


def test_a_score_is_explained_by_songs_of_the_history(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.explain(run, user="u1-0", item="s1-0", k=4)
    printed = capsys.readouterr().out
    assert "Why Song 0 for u1-0" in printed
    for word in ("5 other songs", "(own)", "score"):
        assert word in printed


def test_scores_of_pairs_are_those_of_the_lists(run: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("user,item\nu0-0,s1-1\nnobody,s1-1\nu2-2,s0-4\n")
    commands.score(run, pairs=tmp_path / "pairs.csv", output=tmp_path / "scores.parquet")
    found = pq.read_table(tmp_path / "scores.parquet").to_pylist()
    assert [row["user"] for row in found] == ["u0-0", "nobody", "u2-2"]
    assert found[1]["score"] is None
    recommend(run, k=100, seen="include", output=tmp_path / "all.parquet")
    scores = {
        (row["user"], row["item"]): row["score"]
        for row in pq.read_table(tmp_path / "all.parquet").to_pylist()
    }
    for row in (found[0], found[2]):
        assert row["score"] == pytest.approx(scores[row["user"], row["item"]], rel=1e-5)


def test_similar_songs_of_all_songs_are_written(run: Path, tmp_path: Path) -> None:
    commands.similar(run, item=None, k=3, output=tmp_path / "similar.csv")
    table = pyarrow.csv.read_csv(tmp_path / "similar.csv")
    assert table.column_names == ["to", "rank", "item", "name", "similarity"]
    assert len(table) == 40 * 3
    assert all(row["to"][:3] == row["item"][:3] for row in table.to_pylist())
    (tmp_path / "some.txt").write_text("s1-4\n")
    commands.similar(
        run, item=None, k=3, items_file=tmp_path / "some.txt", output=tmp_path / "some.csv"
    )
    some = pyarrow.csv.read_csv(tmp_path / "some.csv").to_pylist()
    assert some == [row for row in table.to_pylist() if row["to"] == "s1-4"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user,song\na,b\n", "no column 'item' among 'user', 'song'; expected the columns user"),
        ("user,item\na,b\n", "training knew none of the 1 pairs'"),
        ("user,item\na\n", "expected a table of user and item"),
    ],
)
def test_mistakes_in_pairs_are_named(run: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        commands.score(run, pairs=tmp_path / "pairs.csv", output=tmp_path / "a.csv")
    assert not (tmp_path / "a.csv").exists()


def test_similar_songs_are_of_the_same_group(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.similar(run, item="s1-4", k=9, step=None)
    printed = capsys.readouterr().out
    assert "Songs like Song 4" in printed
    for item in range(10):
        assert (f"s1-{item}" in printed) == (item != 4)


def test_similar_listeners_are_of_the_same_group(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.similar(run, users=["u1-4"], k=11)
    printed = capsys.readouterr().out
    assert "Listeners like u1-4" in printed and printed.count("u1-") == 12
    commands.similar(run, users=["u1-4", "u2-0"], k=11, output=tmp_path / "like.parquet")
    for row in pq.read_table(tmp_path / "like.parquet").to_pylist():
        assert row["to"] != row["user"] and row["to"][:3] == row["user"][:3]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"users": ["u0-0", "u0-1"]}, "--users=u0-0,u0-1 without --output; expected the id of one"),
        ({"users": ["u0-0"], "item": "s0-0"}, "--item and --users are both set"),
        ({"users": ["nobody"]}, "user 'nobody': the model knows no such user"),
        ({}, "--item is missing; expected the id of a song, --users with that of a listener"),
        ({"items_file": Path("x")}, "--items_file without --output"),
    ],
)
def test_mistakes_in_what_is_alike_are_named(
    run: Path, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        commands.similar(run, k=3, **given)


def test_an_unknown_song_is_named(run: Path) -> None:
    with pytest.raises(
        UserError, match=r"item 's9-9': the model knows no such item; expected an id"
    ):
        commands.similar(run, item="s9-9", k=3, step=None)
