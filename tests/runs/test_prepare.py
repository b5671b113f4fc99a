"""From a configuration to a split, and what a person is told of it."""

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from jaxrec.config import read_config
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.report.console import Console
from jaxrec.runs.prepare import prepare_split

Prepare = Callable[..., tuple[Split, str, str]]
HISTORY = "".join(
    f"u{u},s{i},{1_600_000_000 + 86_400 * i + u}\n" for u in range(8) for i in range(8)
)


@pytest.fixture
def prepare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Prepare:
    """Splits a history of that text: the split, what was said, and what was warned of."""

    def run(text: str | None, **changes: object) -> tuple[Split, str, str]:
        data: dict[str, object] = {"source": "listens"} | changes
        names = [name for name in changes if name.startswith("columns__")]
        columns = {name.removeprefix("columns__"): data.pop(name) for name in names}
        if text is not None:
            path = tmp_path / "history.csv"
            path.write_text(text)
            data["path"] = str(path)
        split = prepare_split(read_config({"data": data | {"columns": columns}}), Console())
        said = capsys.readouterr()
        return split, said.out, said.err

    return run


def test_a_history_is_described(prepare: Prepare) -> None:
    text = f"user,item,time\n{HISTORY}u0,s0,1600000000\n"
    split, out, err = prepare(text, columns__timestamp="time")
    assert "read 65 rows\n" in out
    assert (
        "65 listens of 8 listeners and 8 songs, 2020-09-13 12:26:40 to 2020-09-20 12:26:47" in out
    )
    assert "1 identical rows, 0 at time 0" in out
    assert re.search(r"most often 's0' \(13.8%\)", out)
    assert "identical_rows=drop" in err  # more than a hundredth of the rows
    assert split.known is None


def test_what_is_left_out_and_known_is_told(prepare: Prepare) -> None:
    text = f"user,item,time\n{HISTORY}"
    split, out, err = prepare(
        text, columns__timestamp="time", time_from="2020-09-15", drop="item == s7", split="none"
    )
    assert (
        "left out 8 by config.data.keep and drop, or as dislikes, 16 before config.data.tim" in out
    )
    assert "time_from 2020-09-15 is" not in out  # it is what it says
    assert not err
    assert split.protocol["known_pairs"] == 0  # nobody is left who keeps those songs


def test_known_pairs_are_told(prepare: Prepare) -> None:
    rows = "".join(
        f"u{u},s{i},{200_000 if (u + i) % 4 else 3_000}\n" for u in range(8) for i in range(8)
    )
    split, out, _ = prepare(
        f"user,item,ms\n{rows}", columns__ms_played="ms", min_ms_played=30_000, split="none"
    )
    assert split.known is not None and len(split.known) == 16 == split.protocol["known_pairs"]
    assert "16 shorter than config.data.min_ms_played" in out
    assert "16 pairs of a listener and a song are known but not learnt from" in out


@pytest.mark.parametrize(
    ("text", "changes", "warning"),
    [
        (
            HISTORY + "u0,null,1600000001\nu1,null,1600000001\n",
            {},
            r"2 rows have the song 'null', which .*config.data.drop='COLUMN in null' leaves",
        ),
        (HISTORY + "u0,s0,0\n", {}, r"1 rows are at time 0 \(1970-01-01\).*time_from=1971"),
        (
            "".join(f"u{u},s{i},{9_000 + i}\n" for u in range(8) for i in range(8)),
            {},
            r"all times lie between 1970-01-01 02:30:00 and .*config.data.time_format",
        ),
        (
            "".join(f"u{u},s{i},2024-01-01\n" for u in range(8) for i in range(8)),
            {"split": "last_n"},
            r"8 of 8 listeners have equal times where config.data.last_n cuts",
        ),
        (
            HISTORY.replace(",s7,", ",s0,") + "".join(f"u{i % 8},t{i},9\n" for i in range(60)),
            {},
            r"13% of the rows are of one song, 's0'",
        ),
    ],
)
def test_what_is_odd_is_warned_of(prepare: Prepare, text: str, changes: dict, warning: str) -> None:
    _, _, err = prepare(f"user,item,time\n{text}", columns__timestamp="time", **changes)
    assert re.search(warning, err)


def test_an_honest_history_is_not_warned_of(prepare: Prepare) -> None:
    _, _, err = prepare(f"user,item,time\n{HISTORY}", columns__timestamp="time")
    assert err == ""


def test_several_artists_of_one_title_are_told(prepare: Prepare) -> None:
    text = "user,item,by\n" + "".join(f"u{u},s{i},b{u}\n" for u in range(4) for i in range(4))
    _, _, err = prepare(text, columns__artist="by", split="none")
    assert "4 songs' ids have several artists" in err and "'ARTIST + TITLE'" in err


def test_a_moment_follows_the_column(prepare: Prepare) -> None:
    dates = "".join(f"u{u},s{i},201501{10 + i}\n" for u in range(8) for i in range(8))
    for moment in ("20150115", "2015-01-15"):
        split, out, _ = prepare(
            f"user,item,date\n{dates}u0,s7,20150101\nu1,s6,20150101\n",
            columns__timestamp="date",
            split="time",
            moment=moment,
            validation_fraction=0.0,
        )
        assert split.protocol["moment"] == 1_421_280_000
        assert "all times are dates" in out
        assert ("is taken as 2015-01-15" in out) == (moment == "20150115")


def test_one_listener_alone_is_told_the_way(prepare: Prepare) -> None:
    with pytest.raises(UserError, match=r"one listener alone, 'me', .*folder.*recommend --users"):
        prepare("item\n" + "".join(f"s{i}\n" for i in range(9)), user="me")


def test_a_named_source_refuses_fields_that_would_do_nothing(prepare: Prepare) -> None:
    for changes in ({"columns__item": "track"}, {"format": "tsv"}, {"header": False}):
        with pytest.raises(
            UserError, match=r"config.data.\w+ is set and config.data.source is 'sp"
        ):
            prepare("x\n", source="spotify", **changes)


def test_a_service_without_a_path_says_what_to_give(prepare: Prepare) -> None:
    with pytest.raises(UserError, match=r"config.data.path is not set; expected Spotify's zip"):
        prepare(None, source="spotify")


def test_a_datasets_licence_is_shown(prepare: Prepare) -> None:
    rows = "".join(f"u{u}\tS{i}\t{1 + u}\n" for u in range(6) for i in range(6))
    _, out, _ = prepare(rows, source="taste-profile", split="none")
    assert "reading the Echo Nest's Taste Profile" in out and "license: unknown" in out


def test_exports_of_three_people_from_zip_to_split(prepare: Prepare, tmp_path: Path) -> None:
    for person, (first, last) in {"anna": (0, 12), "ben": (4, 16), "carla": (8, 20)}.items():
        plays = [
            {
                "ts": f"2024-01-{1 + i:02}T08:00:00Z",
                "ms_played": 180_000,
                "master_metadata_track_name": f"Song {i}",
                "master_metadata_album_artist_name": "Band",
                "spotify_track_uri": f"spotify:track:{i}",
            }
            for i in range(first, last)
        ]
        with zipfile.ZipFile(tmp_path / f"{person}.zip", "w") as archive:
            archive.writestr("MyData/Streaming_History_Audio_2024.json", json.dumps(plays))
    split, out, err = prepare(None, source="spotify", path=str(tmp_path), split="none")
    assert split.train.users.ids.tolist() == ["anna", "ben", "carla"]
    assert (len(split.train), split.train.num_items) == (36, 20)
    assert split.train.items.label(0) == "Song 0 — Band"
    assert "36 listens of 3 listeners and 20 songs, 2024-01-01 08:00:00 to 2024-01-20" in out
    assert err == ""
