"""A new bundle is taken over, a damaged one refused while the old one goes on."""

import asyncio
import os
from pathlib import Path

import pytest

from jaxrec.errors import UserError
from jaxrec.serve.bundle import write_bundle
from jaxrec.serve.served import Served
from tests.serve.bundles import small_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "bundle", small_bundle(note=0))
    return tmp_path / "bundle"


def note(served: Served) -> object:
    return served.scorer.about["note"]


def damage(folder: Path) -> Path:
    """Makes the model's file one that is not yet mapped, and one byte of it wrong."""
    (path,) = folder.glob("model.*")
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    return path


def test_it_begins_with_a_whole_bundle_alone(folder: Path) -> None:
    damage(folder)
    with pytest.raises(UserError, match="is damaged"):
        Served(folder)
    with pytest.raises(UserError, match="no bundle there"):
        Served(folder / "nowhere")


def test_the_same_bundle_is_not_read_again(folder: Path) -> None:
    served = Served(folder)
    before = served.scorer
    served.look()
    assert served.scorer is before


def test_another_bundle_is_taken_over_and_the_old_scorer_still_answers(folder: Path) -> None:
    told: list[bool] = []
    served = Served(folder, told.append)
    before = served.scorer
    write_bundle(folder, small_bundle(note=1))
    served.look()
    assert note(served) == 1
    assert told == [True]
    items, _ = before.top(before.history_of(0), k=2)
    assert len(items) == 2


def test_a_link_that_leads_elsewhere_is_another_bundle(folder: Path, tmp_path: Path) -> None:
    write_bundle(tmp_path / "next", small_bundle(note=1))
    link = tmp_path / "current"
    link.symlink_to(folder)
    served = Served(link)
    (tmp_path / "new-link").symlink_to(tmp_path / "next")
    os.replace(tmp_path / "new-link", link)
    served.look()
    assert note(served) == 1


def test_a_damaged_bundle_is_refused_once_said_and_taken_when_it_is_whole(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[bool] = []
    served = Served(folder, told.append)
    write_bundle(folder, small_bundle(note=1))
    path = damage(folder)
    whole = path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1])
    for _ in range(3):
        served.look()
        assert note(served) == 0
    assert told == [False]
    assert len(caplog.records) == 1
    assert f"is damaged: {path.name}: its SHA-256" in caplog.records[0].getMessage()
    path.write_bytes(whole)
    served.look()
    assert note(served) == 1


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"files": {}}'])
def test_a_manifest_that_is_gone_or_damaged_changes_nothing(
    folder: Path, content: bytes | None
) -> None:
    served = Served(folder)
    (folder / "manifest.json").unlink()
    if content is not None:
        (folder / "manifest.json").write_bytes(content)
    served.look()
    assert note(served) == 0


def test_a_model_of_an_unknown_kind_is_refused(folder: Path) -> None:
    served = Served(folder)
    write_bundle(folder, small_bundle(note=1, kind="oracle"))
    served.look()
    assert note(served) == 0
    with pytest.raises(UserError, match=r"of kind 'oracle'.* expected one of factors,"):
        Served(folder)


def test_it_looks_again_and_again_whatever_happens(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Served(folder)
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        raise MemoryError("planted")

    monkeypatch.setattr(served, "look", look)

    async def watch() -> None:
        at_once = asyncio.Event()
        watching = asyncio.create_task(served.watch(0.001, at_once))
        while looks < 3:
            await asyncio.sleep(0.001)
        watching.cancel()

        monkeypatch.setattr(served, "look", lambda: told.append(True))
        told: list[bool] = []
        watching = asyncio.create_task(served.watch(1000, at_once))
        await asyncio.sleep(0.01)
        assert not told
        at_once.set()  # as SIGHUP does
        while not told:
            await asyncio.sleep(0.001)
        watching.cancel()

    asyncio.run(asyncio.wait_for(watch(), 30))
