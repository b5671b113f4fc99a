"""The catalogue: fetched once, checked, whole or not at all, and the data are the known ones."""

import contextlib
import dataclasses
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

import pytest

from jaxrec.data import catalog, datasets
from jaxrec.data.datasets import DATASETS, Dataset, Download, File
from jaxrec.data.interactions import aggregate
from jaxrec.data.listens import Columns, read_listens
from jaxrec.errors import UserError

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
            listens=(downloads[0].files[0].name,),
            names=None,
            reader={"format": "tsv", "header": False, "columns": Columns(user="0", item="1")},
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
    add(
        zipped(f"{server.url}/toy.zip"),
        names="names.dat",
        reader={
            "format": "tsv",
            "header": False,
            "columns": Columns(user="0", item="1"),
            "names_format": "csv",
            "names_header": False,
            "names_delimiter": "::",
            "names_columns": ("0", "1"),
            "names_encoding": "latin-1",
        },
    )
    paths, settings = catalog.locate("toy", cache_dir=tmp_path)
    (listens,), _ = read_listens(paths, **settings)
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
        named = list(dataset.listens) + ([] if dataset.names is None else [dataset.names])
        assert sorted(dataset.files) == sorted(named)
        assert len(dataset.fingerprints) in (0, len(dataset.listens))
        hashes = [*dataset.fingerprints]
        for part in dataset.downloads:
            assert part.url.startswith("https://")
            hashes += [part.sha256, *(file.sha256 for file in part.files)]
            packed = [file.member is not None for file in part.files]
            assert all(packed) == any(packed) == part.url.endswith((".zip", ".tar.gz"))
            assert part.size is None or part.size < part.limit
        for value in hashes:
            assert value is None or re.fullmatch("[0-9a-f]{64}", value)
        for file in dataset.files:
            assert re.fullmatch(r"[a-z_.]+", file)

    def test_the_reader_takes_its_settings(self, name, tmp_path):
        """A row made up in the dataset's format comes back."""
        dataset = DATASETS[name]
        columns = dataset.reader.get("columns")
        folder = tmp_path / "data"
        folder.mkdir()
        for file in dataset.listens:
            if columns is None:
                (folder / file).write_text("5 77\n")
                continue
            wanted = dataclasses.asdict(columns)
            (folder / file).write_text(table(dataset.reader, wanted, {"plays": "3"}))
        if dataset.names is not None:
            item, title = dataset.reader["names_columns"]
            settings = {
                key.removeprefix("names_"): value
                for key, value in dataset.reader.items()
                if key.startswith("names_")
            }
            wanted = {"item": item, "item_name": title}
            (folder / dataset.names).write_text(table(settings, wanted, {"item_name": "A song"}))
        paths, settings = catalog.locate(name, data_path=folder)
        parts, _ = read_listens(paths, **settings)
        for listens in parts:
            assert listens.users.ids.tolist() == [5] and listens.items.ids.tolist() == [77]
            if columns is not None and columns.plays is not None:
                assert listens.plays.tolist() == [3]
            if columns is not None and columns.timestamp is not None:
                assert listens.timestamp.tolist() == [978300760]
            if dataset.names is not None:
                assert listens.items.names.tolist() == ["A song"]


def table(settings, wanted: dict[str, str | None], values: dict[str, str]) -> str:
    """A file of one row in the format of the settings."""
    values = {"user": "5", "item": "77", "timestamp": "978300760", **values}
    by_column = {column: values[role] for role, column in wanted.items() if column is not None}
    delimiter = settings.get("delimiter") or {"tsv": "\t", "csv": ","}[settings["format"]]
    if not settings.get("header", True):
        width = 1 + max(int(column) for column in by_column)
        row = [by_column.get(str(column), "x") for column in range(width)]
        return delimiter.join(row) + "\n"
    return f"{delimiter.join(by_column)}\n{delimiter.join(by_column.values())}\n"


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
    paths, settings = catalog.locate(name, data_path=folder)
    listens, _ = read_listens(paths, **settings)
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
