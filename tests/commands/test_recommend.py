"""`recommend` and `similar` read the run's folder alone and name what they don't know."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from jaxrec import commands
from jaxrec.errors import UserError
from jaxrec.gcn import native


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
    commands.recommend(run, **(arguments | changes))


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"users": ["u0-0", "nobody"]}, "user 'nobody': the model knows no such user"),
        ({"users": ["u0-0"], "users_file": Path("x")}, "--users and --users_file are both set"),
        ({"users_file": Path("missing.txt")}, "--users_file=missing.txt: .*No such file"),
        ({"output": Path("lists.xlsx")}, r"--output=lists.xlsx: expected a name ending in"),
        ({"output": Path("no/such/folder/a.csv")}, "--output=no/such/folder/a.csv: "),
        ({"step": 7}, "--step=7: no such checkpoint; expected one of 0, "),
    ],
)
def test_mistakes_are_named(run: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        recommend(run, **changes)


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no run there \(no config.json\)"):
        recommend(tmp_path)


def test_similar_songs_are_of_the_same_group(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.similar(run, item="s1-4", k=9, step=None)
    printed = capsys.readouterr().out
    assert "Songs like Song 4" in printed
    for item in range(10):
        assert (f"s1-{item}" in printed) == (item != 4)


def test_an_unknown_song_is_named(run: Path) -> None:
    with pytest.raises(
        UserError, match=r"item 's9-9': the model knows no such item; expected an id"
    ):
        commands.similar(run, item="s9-9", k=3, step=None)
