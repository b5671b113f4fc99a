"""The catalogue: fetched once, checked, whole or not at all, and the data are the known ones."""

import contextlib
import dataclasses
import gzip
import hashlib
import io
import re
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import Mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxrec.data import catalog, datasets
from jaxrec.data.dataset import Dataset, Download, File, Part
from jaxrec.data.datasets import DATASETS
from jaxrec.data.interactions import aggregate
from jaxrec.data.listens import read_listens
from jaxrec.data.meaning import Columns, Filters, Layout, Names, Source
from jaxrec.errors import UserError

TABS = Layout("tsv", header=False)
PAIR = Columns("0", "1")
LISTENS, TEST, NAMES = b"1\t7\n2\t7\n", b"1\t9\n", b"7::So\xf1g\n9::Other\n"


def packed(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("toy/../../evil", b"evil")
        for name, content in members.items():
            archive.writestr(f"toy/{name}", content)
    return stream.getvalue()


ARCHIVE = packed(listens=LISTENS, names=NAMES, other=b"not wanted")
FILES = {
    "/toy.zip": ARCHIVE,
    "/train.tsv": LISTENS,
    "/test.tsv": TEST,
    "/bomb.zip": packed(listens=bytes(1 << 24), names=NAMES),
    "/short.zip": packed(listens=LISTENS),
    "/page.zip": b"<html>Please log in</html>",
}


class Server(ThreadingHTTPServer):
    """Serves `FILES`, counts the requests, and cuts some files short."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[str] = []
        self.cut: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_):
        pass


class Handler(BaseHTTPRequestHandler):
    """Answers by path."""

    def do_GET(self):
        self.server.requests.append(self.path)
        if self.path not in FILES:
            self.send_error(404)
            return
        body = FILES[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path in self.server.cut else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def add(monkeypatch) -> Callable[..., Dataset]:
    """Adds a dataset to the catalogue for one test."""

    def adder(*downloads: Download, **changes) -> Dataset:
        dataset = Dataset(
            name="toy",
            title="Toy",
            homepage="",
            license="",
            downloads=downloads,
            histories=((Part(downloads[0].files[0].name, Source((), PAIR, layout=TABS)),),),
        )
        dataset = dataclasses.replace(dataset, **changes)
        monkeypatch.setattr(catalog, "DATASETS", {"toy": dataset})
        return dataset

    return adder


def zipped(url: str, **changes) -> Download:
    files = (File("listens.tsv", "toy/listens"), File("names.dat", "toy/names"))
    return dataclasses.replace(Download(url, files), **changes)


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything in a folder by relative path; folders as None."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


class TestFetch:
    def test_unpacks_the_wanted_members_only(self, server, add, tmp_path):
        add(zipped(f"{server.url}/toy.zip"))
        paths = catalog.fetch("toy", tmp_path / "deep" / "cache")
        assert tree(tmp_path) == {
            "deep": None,
            "deep/cache": None,
            "deep/cache/toy": None,
            "deep/cache/toy/listens.tsv": LISTENS,
            "deep/cache/toy/names.dat": NAMES,
        }
        assert [path.name for path in paths] == ["listens.tsv", "names.dat"]

    def test_several_plain_files(self, server, add, tmp_path):
        parts = [
            Download(f"{server.url}/{name}", (File(name),)) for name in ("train.tsv", "test.tsv")
        ]
        add(*parts)
        paths = catalog.fetch("toy", tmp_path)
        assert [path.read_bytes() for path in paths] == [LISTENS, TEST]

    def test_the_second_time_needs_no_network(self, server, add, tmp_path):
        add(zipped(f"{server.url}/toy.zip"))
        first = catalog.fetch("toy", tmp_path)
        assert catalog.fetch("toy", tmp_path) == first
        assert server.requests == ["/toy.zip"]

    def test_a_file_missing_from_the_cache_is_fetched_again(self, server, add, tmp_path):
        add(zipped(f"{server.url}/toy.zip"))
        for path in catalog.fetch("toy", tmp_path):
            path.unlink()
            assert path in catalog.fetch("toy", tmp_path)
            assert path.is_file()

    def test_says_what_is_unverified_with_its_sha256(self, server, add, tmp_path):
        said = []
        add(zipped(f"{server.url}/toy.zip"))
        catalog.fetch("toy", tmp_path, say=said.append)
        assert said[0] == f"downloading {server.url}/toy.zip"
        assert "unverified" in said[1] and hashlib.sha256(ARCHIVE).hexdigest() in said[1]

    def test_says_nothing_of_what_is_verified(self, server, add, tmp_path):
        sha256 = hashlib.sha256(ARCHIVE).hexdigest()
        of_members = (
            File("listens.tsv", "toy/listens", hashlib.sha256(LISTENS).hexdigest()),
            File("names.dat", "toy/names", hashlib.sha256(NAMES).hexdigest()),
        )
        url = f"{server.url}/toy.zip"
        for number, part in enumerate(
            [zipped(url, sha256=sha256, size=len(ARCHIVE)), Download(url, of_members)]
        ):
            said = []
            add(part)
            catalog.fetch("toy", tmp_path / str(number), say=said.append)
            assert len(said) == 1

    def test_shows_how_far_each_download_is(self, server, add, tmp_path):
        shown = Mock()
        progress = Mock(return_value=contextlib.nullcontext(shown))
        add(zipped(f"{server.url}/toy.zip"))
        catalog.fetch("toy", tmp_path, progress=progress)
        progress.assert_called_once_with(len(ARCHIVE), "downloading toy.zip", "bytes")
        assert sum(call.args[0] for call in shown.update.call_args_list) == len(ARCHIVE)

    @pytest.mark.parametrize(
        ("path", "changes", "reason"),
        [
            ("toy.zip", {"sha256": "0" * 64}, "its SHA-256 is"),
            ("toy.zip", {"size": 12}, "bytes, expected 12"),
            ("cut.zip", {}, "it broke off after"),
            ("gone.zip", {}, "the server answers 404 Not Found"),
            ("bomb.zip", {"limit": 100_000}, "unpacks to more than 100,000 bytes"),
            ("short.zip", {}, "the archive has no member toy/names"),
            ("page.zip", {}, "the archive is damaged"),
            (
                "toy.zip",
                {"files": (File("x", "toy/listens", "0" * 64),)},
                "the SHA-256 of its toy/listens is",
            ),
        ],
    )
    def test_a_failure_is_one_line_and_leaves_nothing(
        self, server, add, tmp_path, monkeypatch, path, changes, reason
    ):
        monkeypatch.setitem(FILES, "/cut.zip", ARCHIVE)
        server.cut.add("/cut.zip")
        add(
            Download(f"{server.url}/train.tsv", (File("train.tsv"),)),
            zipped(f"{server.url}/{path}", **changes),
        )
        (tmp_path / "bystander").write_text("as it was")
        before = tree(tmp_path)
        with pytest.raises(UserError) as caught:
            catalog.fetch("toy", tmp_path)
        message = str(caught.value)
        assert message.startswith(f"can't download {server.url}/{path}: ") and reason in message
        assert "\n" not in message
        assert tree(tmp_path) == before

    def test_a_failure_leaves_the_old_files(self, server, add, tmp_path):
        add(zipped(f"{server.url}/gone.zip"))
        (tmp_path / "toy").mkdir()
        (tmp_path / "toy" / "listens.tsv").write_text("old")
        before = tree(tmp_path)
        with pytest.raises(UserError):
            catalog.fetch("toy", tmp_path)
        assert tree(tmp_path) == before

    def test_without_network_it_says_which_files_to_put_where(self, add, tmp_path, monkeypatch):
        monkeypatch.setenv("no_proxy", "*")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}/toy.zip"
        add(zipped(url))
        with pytest.raises(UserError) as caught:
            catalog.fetch("toy", tmp_path)
        assert re.fullmatch(
            rf"can't download {url}: the connection failed \(.*refused\); without it, put "
            rf"listens.tsv \(toy/listens\) and names.dat \(toy/names\) from {url} into a folder "
            r"and set config.data.path to that",
            str(caught.value),
        )

    def test_a_cache_that_can_not_be_written(self, server, add, tmp_path):
        add(zipped(f"{server.url}/toy.zip"))
        (tmp_path / "file").write_text("")
        with pytest.raises(UserError, match="expected a cache folder that can be written"):
            catalog.fetch("toy", tmp_path / "file" / "cache")


class TestYourOwnFiles:
    def test_are_taken_as_they_are(self, add, tmp_path):
        add(zipped("http://127.0.0.1:9/toy.zip"))
        (tmp_path / "listens.tsv").write_bytes(LISTENS)
        (tmp_path / "names.dat").write_bytes(NAMES)
        paths = catalog.fetch("toy", tmp_path / "cache", data_path=tmp_path)
        assert paths == [tmp_path / "listens.tsv", tmp_path / "names.dat"]
        assert not (tmp_path / "cache").exists()

    @pytest.mark.parametrize("folder", ["here", "not/there"])
    def test_the_missing_ones_are_named(self, add, tmp_path, folder):
        add(zipped("http://127.0.0.1:9/toy.zip"))
        (tmp_path / "here").mkdir()
        (tmp_path / "here" / "listens.tsv").write_bytes(LISTENS)
        missing = "names.dat" if folder == "here" else "listens.tsv, names.dat"
        with pytest.raises(UserError) as caught:
            catalog.fetch("toy", data_path=str(tmp_path / folder))
        assert str(caught.value) == (
            f"config.data.path is '{tmp_path / folder}', which has no {missing}; expected a folder "
            "with listens.tsv (toy/listens) and names.dat (toy/names) from "
            "http://127.0.0.1:9/toy.zip"
        )


def test_locate_gives_what_the_reader_takes(server, add, tmp_path):
    layout = Layout("csv", header=False, delimiter="::", encoding="latin-1")
    add(
        zipped(f"{server.url}/toy.zip"),
        names=("names.dat", Names("", ("0", "1"), layout)),
    )
    located = catalog.locate("toy", cache_dir=tmp_path)
    (listens,), _ = read_listens(located.histories, names=located.names)
    assert listens.users.ids.tolist() == [1, 2]
    assert [listens.items.label(item) for item in listens.item] == ["Soñg", "Soñg"]


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match=r"config.data.source is 'lastfm'; expected .*lastfm-2k"):
        catalog.fetch("lastfm")


def test_downloads_lie_in_the_cache_folder(server, add, monkeypatch, tmp_path):
    monkeypatch.setenv("JAXREC_CACHE", str(tmp_path))
    add(zipped(f"{server.url}/toy.zip"))
    assert catalog.fetch("toy")[0] == tmp_path / "toy" / "listens.tsv"


@pytest.mark.parametrize("name", DATASETS)
class TestKnownDatasets:
    def test_the_record_is_sound(self, name):
        dataset = DATASETS[name]
        assert dataset.name == name and dataset.title and dataset.license
        assert dataset.homepage.startswith(("http://", "https://"))
        named = [part.file for history in dataset.histories for part in history if part.file]
        named += [] if dataset.names is None else [dataset.names[0]]
        assert sorted(dataset.files) == sorted(named)
        assert len(dataset.fingerprints) in (0, len(dataset.histories))
        hashes = [*dataset.fingerprints]
        for part in dataset.downloads:
            assert part.url.startswith("http://" if part.by_hand else "https://") or part.by_hand
            hashes += [part.sha256, *(file.sha256 for file in part.files)]
            packed = [file.member is not None for file in part.files]
            if not part.by_hand:
                assert all(packed) == any(packed) == part.url.endswith((".zip", ".tar.gz"))
            assert part.size is None or part.size < part.limit
        for value in hashes:
            assert value is None or re.fullmatch("[0-9a-f]{64}", value)
        for file in dataset.files:
            assert re.fullmatch(r"[a-z_.]+", file)

    def test_a_row_in_its_form_is_read(self, name, tmp_path):
        dataset = DATASETS[name]
        for history in dataset.histories:
            for part in history:
                write_row(tmp_path / (part.file or "5.txt"), part.source)
        if dataset.names is not None:
            file, names = dataset.names
            roles = {"item": names.columns[0], "item_name": names.columns[1]}
            values = {"item": "77", "item_name": "A song"}
            (tmp_path / file).write_text(table(names.layout, roles, values))
        located = catalog.locate(name, data_path=tmp_path)
        parts, _ = read_listens(located.histories, names=located.names)
        for listens, history in zip(parts, dataset.histories, strict=True):
            assert listens.users.ids.tolist() == [5] and listens.items.ids.tolist() == [77]
            columns = history[0].source.columns
            if columns is not None and columns.plays is not None:
                assert listens.plays.tolist() == [3]
            if columns is not None and columns.timestamp is not None:
                assert set(listens.timestamp.tolist()) == {978300760}
            if dataset.names is not None:
                assert listens.items.names.tolist() == ["A song"]


VALUES = {"user": "5", "item": "77", "timestamp": "978300760", "plays": "3"}


def write_row(path: Path, source: Source) -> None:
    """A file of one row, in the form that the source says."""
    format, columns = source.layout.format, source.columns
    if columns is None:
        path.write_text("5 77\n")
    elif format == "parquet":
        row = {columns.roles()[role]: [int(VALUES[role])] for role in columns.roles()}
        pq.write_table(pa.table(row | {"played_ratio_pct": [100]}), path)
    elif format == "idomaar":
        path.write_text(idomaar_line(5, 77, 978300760))
    else:
        path.write_text(table(source.layout, columns.roles(), VALUES))


def idomaar_line(user: int, track: int, time: int) -> str:
    subject, found = f'{{"type":"user","id":{user}}}', f'{{"type":"track","id":{track}}}'
    linked = f'{{"subjects":[{subject}],"objects":[{found}]}}'
    return f'event.play\t1\t{time}\t{{"playtime":123}}\t{linked}\n'


def table(layout: Layout, roles: dict[str, str], values: dict[str, str]) -> str:
    """A file of one row in a layout."""
    by_column = {column: values[role] for role, column in roles.items() if role in values}
    delimiter = layout.delimiter or {"tsv": "\t", "csv": ","}[layout.format]
    if not layout.header:
        width = 1 + max(int(column) for column in by_column if column.isdecimal())
        row = [by_column.get(str(column), "x") for column in range(width)]
        return delimiter.join(row) + "\n"
    return f"{delimiter.join(by_column)}\n{delimiter.join(by_column.values())}\n"


DATE_FOR_A_USER = "sep 20, 2008\tid\tBand\t7\n"


def test_lastfm_360k_is_read_under_its_published_name_and_without_its_known_defects(tmp_path):
    folder = tmp_path / "lastfm-dataset-360K"
    folder.mkdir()
    rows = 'u1\tid\tBand\t3\nu1\t\t\t4\nu2\t\tOther "band"\t5\n' + DATE_FOR_A_USER
    (folder / "usersha1-artmbid-artname-plays.tsv").write_text(rows)
    located = catalog.locate("lastfm-360k", data_path=tmp_path)
    (listens,), report = read_listens(located.histories)
    assert listens.users.ids.tolist() == ["u1", "u2"]
    assert listens.items.ids.tolist() == ["Band", 'Other "band"']
    assert (report.defects, report.skipped, report.rows) == (2, 0, 4)
    assert listens.known is None  # a user that is a date knows nothing


def test_lastfm_1k_leaves_out_titles_with_tabs(tmp_path):
    good = "user_1\t2009-05-04T23:08:57Z\tid\tBand\t\tSong\n"
    path = tmp_path / "userid-timestamp-artid-artname-traid-traname.tsv"
    path.write_text(good + good.replace("Song", "So\tng"))
    located = catalog.locate("lastfm-1k", data_path=path)
    assert located.dataset.ragged
    (listens,), report = read_listens(located.histories, filters=Filters(on_bad_rows="skip"))
    assert (len(listens), report.skipped) == (1, 1)


def test_a_published_file_may_be_compressed(tmp_path):
    with zipfile.ZipFile(tmp_path / "train_triplets.txt.zip", "w") as archive:
        archive.writestr("train_triplets.txt", "u1\tSOA\t2\nu2\tSOA\t9\n")
    located = catalog.locate("taste-profile", data_path=tmp_path)
    (listens,), _ = read_listens(located.histories)
    assert (listens.items.ids.tolist(), listens.plays.tolist()) == (["SOA"], [2, 9])


def test_yambda_learns_from_what_was_heard_or_liked_and_knows_the_rest(tmp_path):
    def write(name: str, rows: list[tuple[int, int]], **more: list[int]) -> None:
        users, items = zip(*rows, strict=True)
        times = pa.array(range(len(rows)), pa.uint32())
        columns = {"uid": users, "timestamp": times, "item_id": items, **more}
        pq.write_table(pa.table(columns), tmp_path / name)

    write("listens.parquet", [(1, 10), (1, 11), (2, 11)], played_ratio_pct=[100, 3, 50])
    write("likes.parquet", [(1, 12), (2, 10)])
    write("dislikes.parquet", [(2, 12), (3, 10)])
    located = catalog.locate("yambda-50m", data_path=tmp_path)
    (listens,), report = read_listens(located.histories)
    users, items = listens.users.ids, listens.items.ids
    learnt = zip(users[listens.user].tolist(), items[listens.item].tolist(), strict=True)
    assert sorted(learnt) == [(1, 10), (1, 12), (2, 10), (2, 11)]
    known = listens.known
    assert sorted(zip(users[known.user].tolist(), items[known.item].tolist(), strict=True)) == [
        (1, 11),
        (2, 12),
    ]
    assert report.filtered == 3
    located = catalog.locate("yambda-50m-listens", data_path=tmp_path)
    (listens,), _ = read_listens(located.histories)
    assert sorted(zip(listens.user.tolist(), listens.items.ids[listens.item], strict=True)) == [
        (0, 10),
        (1, 11),
    ]


def test_a_file_per_listener_is_the_listeners_history(tmp_path):
    for name, recordings in (("5e0a.txt", "ab"), ("77b1.txt", "bc")):
        rows = "".join(f"{time}\tx\ty\t{item}\n" for time, item in enumerate(recordings))
        path = tmp_path / name[0] / f"{name}.gz"
        path.parent.mkdir()
        path.write_bytes(gzip.compress(f"{rows}9\tx\ty\t\n".encode()))
    located = catalog.locate("mlhd", data_path=tmp_path)
    (listens,), report = read_listens(located.histories)
    assert listens.users.ids.tolist() == ["5e0a", "77b1"]
    assert listens.items.ids.tolist() == ["a", "b", "c"]
    assert (len(listens), report.no_item) == (4, 2)


def test_thirty_music_refuses_what_is_no_event(tmp_path):
    path = tmp_path / "events.idomaar"
    good = idomaar_line(5, 7, 1400000000)
    path.write_text(good + good.replace('"track"', '"artist"') + idomaar_line(6, 7, 1400000001))
    located = catalog.locate("30music", data_path=path)
    with pytest.raises(UserError, match=r"events.idomaar:2: no event of a user and a track"):
        read_listens(located.histories)
    (listens,), report = read_listens(located.histories, filters=Filters(on_bad_rows="skip"))
    assert (listens.users.ids.tolist(), report.skipped) == ([5, 6], 1)
    assert listens.timestamp.tolist() == [1400000000, 1400000001]


def test_what_can_not_be_downloaded_says_what_to_put_where(tmp_path):
    with pytest.raises(UserError, match=r"30music.*expected events.idomaar .* config.data.path"):
        catalog.locate("30music", cache_dir=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("lastfm-2k", [(1892, 17632, 92834)]),
        ("lastfm-lightgcn", [(1880, 4489, 42135), (1880, 4489, 10533)]),
        ("gowalla", [(29858, 40981, 810128), (29858, 40981, 217242)]),
    ],
)
def test_the_data_at_hand_are_the_known_ones(shared_data, name, sizes):
    folder = shared_data / name
    if not folder.is_dir():
        pytest.skip(f"expected the folder {folder}")
    dataset = DATASETS[name]
    located = catalog.locate(name, data_path=folder)
    listens, _ = read_listens(located.histories, names=located.names)
    parts = [aggregate(part) for part in listens]
    assert [(part.num_users, part.num_items, len(part)) for part in parts] == sizes
    assert dataset.recognises(parts)
    assert dataset.recognises(parts[:1] * 2) is False
    for part in dataset.downloads:
        for file in part.files:
            known = file.sha256 or (part.sha256 if file.member is None else None)
            if known is not None:
                assert hashlib.sha256((folder / file.name).read_bytes()).hexdigest() == known


def test_nothing_is_known_of_unverified_interactions():
    assert DATASETS["yelp2018"].recognises([]) is None


def test_the_table_can_not_be_changed():
    with pytest.raises(TypeError):
        datasets.DATASETS["mine"] = DATASETS["gowalla"]
