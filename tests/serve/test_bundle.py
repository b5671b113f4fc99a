"""A bundle is read as it was written or not at all, and replaced without a moment between."""

import json
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest

from jaxrec.errors import UserError
from jaxrec.serve import bundle as bundles
from jaxrec.serve.bundle import bundle_id, read_bundle, write_bundle
from jaxrec.serve.tensors import map_tensors, write_tensors
from tests.serve.bundles import small_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "bundle", small_bundle())
    return tmp_path / "bundle"


def one(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def test_what_is_read_is_what_was_written(folder: Path) -> None:
    wanted, found = small_bundle(), read_bundle(folder)
    assert found.about == {"format": bundles.FORMAT, **wanted.about}
    for name in ("model", "histories"):
        theirs = getattr(wanted, name)
        assert getattr(found, name).keys() == theirs.keys()
        for array, own in getattr(found, name).items():
            np.testing.assert_array_equal(own, theirs[array])
            assert own.dtype == theirs[array].dtype
    assert found.items == wanted.items
    assert found.users == wanted.users


def test_the_same_bundle_has_the_same_files(folder: Path, tmp_path: Path) -> None:
    write_bundle(tmp_path / "again", small_bundle())
    names = [sorted(path.name for path in each.iterdir()) for each in (folder, tmp_path / "again")]
    assert names[0] == names[1]
    assert len(names[0]) == 6
    assert bundle_id(folder) == bundle_id(tmp_path / "again")


def test_files_keep_to_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_bundle(tmp_path / "bundle", small_bundle())
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "bundle").iterdir()}
    assert modes == {0o640}


def test_arrays_are_mapped_and_can_not_be_changed(folder: Path) -> None:
    weights = read_bundle(folder).model["weights"]
    assert not weights.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        weights[0, 0] = 1


@pytest.mark.parametrize("part", ["about", "histories", "items", "model", "users"])
@pytest.mark.parametrize("how", ["cut", "changed", "gone"])
def test_damage_is_named(folder: Path, part: str, how: str) -> None:
    path = one(folder, f"{part}.*")
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[:-1])
    elif how == "changed":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        path.unlink()
    with pytest.raises(UserError, match=rf"is damaged: {part}\.[0-9a-f]{{12}}\.\w+: .*expected"):
        read_bundle(folder)


def test_a_folder_without_a_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no bundle there .* expected the folder"):
        read_bundle(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match=r"is damaged: manifest\.json: not as it was written"):
        read_bundle(tmp_path)
    assert bundle_id(tmp_path) is None


def test_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "FORMAT", 99)
    write_bundle(tmp_path / "bundle", small_bundle())
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"format is 99; expected 3"):
        read_bundle(tmp_path / "bundle")


def test_a_bundle_replaces_another_and_whoever_has_mapped_that_keeps_it(folder: Path) -> None:
    before, old = read_bundle(folder), bundle_id(folder)
    weights = before.model["weights"].copy()
    changed = small_bundle(note="another")
    changed.model["weights"][...] += 1  # type: ignore[index]
    try:
        write_bundle(folder, changed)
    finally:
        changed.model["weights"][...] -= 1  # type: ignore[index]
    assert bundle_id(folder) != old
    assert len(list(folder.iterdir())) == 6  # nothing of the other is left
    np.testing.assert_array_equal(before.model["weights"], weights)
    assert not (read_bundle(folder).model["weights"] == weights).any()


def test_who_looks_while_bundles_are_replaced_sees_a_whole_one_or_is_told(folder: Path) -> None:
    stop, notes = threading.Event(), []

    def replace() -> None:
        for number in range(20):
            write_bundle(folder, small_bundle(note=number))
        stop.set()

    writer = threading.Thread(target=replace)
    writer.start()
    while not stop.is_set():
        try:
            notes.append(read_bundle(folder).about.get("note", -1))
        except UserError as error:  # its files went between two looks
            assert "damaged" in str(error) or "unreadable" in str(error)
    writer.join()
    assert notes == sorted(notes)
    assert read_bundle(folder).about["note"] == 19


def test_what_a_killed_export_has_left_is_no_hindrance(folder: Path) -> None:
    (folder / "model.999999999.partial").write_bytes(b"half")
    (folder / "items.0123456789ab.parquet").write_bytes(b"of a bundle that was never whole")
    read_bundle(folder)
    write_bundle(folder, small_bundle())
    assert len(list(folder.iterdir())) == 6


def test_a_folder_with_anything_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(UserError, match=r"has letter\.txt, which no bundle has; expected an empty"):
        write_bundle(tmp_path, small_bundle())
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_write_that_fails_leaves_the_old_bundle(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, files = bundle_id(folder), sorted(folder.iterdir())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundles, "write_tensors", full)
    with pytest.raises(OSError, match="No space"):
        write_bundle(folder, small_bundle(note="new"))
    assert bundle_id(folder) == old
    assert set(files) <= set(folder.iterdir())
    read_bundle(folder)


HEADERS = {
    "not JSON": b"{",
    "a list": b"[]",
    "no such type": b'{"a": {"dtype": "F8", "shape": [1], "data_offsets": [0, 4]}}',
    "past the end": b'{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}',
    "before the beginning": b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}',
    "another shape": b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}',
    "shape below 0": b'{"a": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}}',
    "no number": b'{"a": {"dtype": "F32", "shape": ["1"], "data_offsets": [0, 4]}}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_tensors_that_are_none_are_refused(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(UserError, match=r"a\.safetensors: unreadable .* expected the file"):
        map_tensors(path)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 8, b"\xff" * 100])
def test_a_file_that_is_too_short_for_its_header_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(UserError, match="unreadable"):
        map_tensors(tmp_path / "a")


def test_arrays_of_every_type_and_of_no_size_come_back(tmp_path: Path) -> None:
    kinds = ("bool", "int32", "int64", "float32", "float64")
    arrays = {kind: np.arange(6).reshape(2, 3).T.astype(kind) for kind in kinds}
    arrays["none"] = np.zeros((0, 3), np.float32)
    write_tensors(tmp_path / "a", arrays)
    found = map_tensors(tmp_path / "a")
    for name, each in arrays.items():
        np.testing.assert_array_equal(found[name], each)
        assert found[name].dtype == each.dtype


def test_the_manifest_names_each_file_with_its_sha256(folder: Path) -> None:
    files = json.loads((folder / "manifest.json").read_text())["files"]
    assert files.keys() == {path.name for path in folder.iterdir()} - {"manifest.json"}
    for name, each in files.items():
        assert name.split(".")[1] == each["sha256"][:12]
