"""A manifest knows its folder; what it misses is named."""

import json
from pathlib import Path

import pytest

from jaxrec.manifest import find_damage, write_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "numbers").write_bytes(bytes(range(200)))
    (tmp_path / "empty").write_bytes(b"")
    write_manifest(tmp_path, ["inner/numbers", "empty"])
    return tmp_path


def test_what_was_written_is_whole(folder: Path) -> None:
    assert find_damage(folder) is None
    assert json.loads((folder / "manifest.json").read_bytes())["files"].keys() == {
        "empty",
        "inner/numbers",
    }


def test_damage_is_named(folder: Path) -> None:
    file = folder / "inner" / "numbers"
    file.write_bytes(bytes(100))
    assert find_damage(folder) == "inner/numbers: 100 bytes, expected 200"
    file.write_bytes(bytes(200))
    assert find_damage(folder) == "inner/numbers: its SHA-256 is not the one written"
    file.unlink()
    assert find_damage(folder) == "inner/numbers: No such file or directory"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff", b'{"files": 3}', b'{"files": {}}', b'{"files": {"a": 1}}'],
)
def test_anything_else_is_no_manifest(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    assert find_damage(folder) == "manifest.json: not as it was written"


def test_a_manifest_with_a_file_left_out_is_no_manifest(folder: Path) -> None:
    values = json.loads((folder / "manifest.json").read_bytes())
    del values["files"]["empty"]
    (folder / "manifest.json").write_text(json.dumps(values, indent=2) + "\n")
    assert find_damage(folder) == "manifest.json: not as it was written"


def test_a_folder_without_a_manifest_or_none_at_all_is_damaged(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    assert find_damage(folder) == "manifest.json: No such file or directory"
    assert find_damage(folder / "nowhere") == "manifest.json: No such file or directory"
