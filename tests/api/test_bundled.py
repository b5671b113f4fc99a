"""A bundle answers from Python as the model that it was exported from."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import jaxrec as jr
from jaxrec.config import RunConfig
from tests.api.groups import table
from tests.listening import listens
from tests.nursery import ROOT


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Path]:
    """A model, the bundle of it, and where that is."""
    folder = tmp_path_factory.mktemp("bundled") / "bundle"
    listens = jr.split(jr.read(table()), "none").train
    model = jr.fit(listens, method="rp3beta", quiet=True)
    model.export(folder)
    return model, jr.load(folder), folder


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"users": ["u3", "u0"], "k": 2},
        {"users": ["u0"], "seen": "include"},
        {"users": ["u0", "u1"], "seen": "only"},
        {"histories": [["b0", "b1"]], "seen": "only", "k": 3},
        {"histories": [["b0", "b1"], ["a2"]], "k": 3},
        {"histories": [], "k": 3},
    ],
)
def test_the_lists_are_the_models(pair: tuple[Any, Any, Path], asked: dict[str, Any]) -> None:
    model, bundle, _ = pair
    if asked.get("histories") == []:
        assert len(bundle.recommend(**asked)) == 0
        return
    wanted, found = model.recommend(**asked), bundle.recommend(**asked)
    assert found.drop(["score"]) == wanted.drop(["score"])
    assert found["score"].to_pylist() == pytest.approx(wanted["score"].to_pylist())
    assert found.schema == wanted.schema


def test_likeness_and_reasons_are_the_models(pair: tuple[Any, Any, Path]) -> None:
    model, bundle, _ = pair
    wanted, found = model.similar("a1", k=3), bundle.similar("a1", k=3)
    assert found.drop(["similarity"]) == wanted.drop(["similarity"])
    assert found["similarity"].to_pylist() == pytest.approx(wanted["similarity"].to_pylist())
    for who in ("u0", ["a1", "a2"]):
        wanted, found = model.explain(who, "a0"), bundle.explain(who, "a0")
        assert found.schema == wanted.schema
        assert found.drop(["contribution"]) == wanted.drop(["contribution"])
        contributions = wanted["contribution"].to_pylist()
        assert found["contribution"].to_pylist() == pytest.approx(contributions)


def test_it_knows_the_models_users_and_items(pair: tuple[Any, Any, Path]) -> None:
    model, bundle, _ = pair
    assert bundle.users == model.users
    assert bundle.items == model.items
    assert bundle.method == model.method
    assert repr(bundle) == "<BundledRecommender: rp3beta, 8 users, 8 items>"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.recommend(["nobody"]), "user 'nobody': the bundle knows no such user"),
        (lambda m: m.recommend("u0"), "users is 'u0'; expected a list of ids"),
        (lambda m: m.recommend(["u0"], k=0), "k is 0; expected a whole number"),
        (lambda m: m.recommend(["u0"], histories=[["a0"]]), "both given; expected one of them"),
        (lambda m: m.recommend(histories=["a0"]), "expected a list of item"),
        (lambda m: m.recommend(histories=[["x"]]), "history 0 has no item that the bundle knows"),
        (lambda m: m.similar("x"), "item 'x': the bundle knows no such item; expected an id such"),
        (lambda m: m.explain("u0", "x"), "item 'x': the bundle knows no such item"),
        (lambda m: jr.evaluate(m, None), "model is a BundledRecommender, which has no split"),
    ],
)
def test_mistakes_are_named(pair: tuple[Any, Any, Path], call: Any, message: str) -> None:
    with pytest.raises(jr.UserError, match=message):
        call(pair[1])


def test_what_isnt_known_of_a_history_is_told(pair: tuple[Any, Any, Path]) -> None:
    with pytest.warns(UserWarning, match="1 of 2 items in the histories are not known"):
        pair[1].recommend(histories=[["a0", "x"]])


def test_a_step_of_a_bundle_is_refused(pair: tuple[Any, Any, Path]) -> None:
    with pytest.raises(jr.UserError, match=r"step is 3; expected none: .* is a bundle"):
        jr.load(pair[2], step=3)


BLOCKED = """
import sys
for name in ("jax", "scipy", "duckdb"):
    sys.modules[name] = None
import jaxrec as jr
print(jr.load(sys.argv[1]).recommend(["u0"], k=1)["item"].to_pylist())
"""


def test_it_needs_no_jax(pair: tuple[Any, Any, Path]) -> None:
    command = [sys.executable, "-c", BLOCKED, str(pair[2])]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    wanted = pair[0].recommend(["u0"], k=1)["item"].to_pylist()
    assert said.stdout.strip() == str(wanted)


@pytest.mark.parametrize("method", ["rp3beta", "ials", "own_plays"])
def test_listens_that_age_count_in_the_bundle_as_in_the_model(method: str, tmp_path: Path) -> None:
    rows = listens()
    names = ("user", "item", "when")
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    read = jr.read(pa.table(columns), timestamp="when", time_format="seconds")
    history = {"weight": "raw", "half_life_days": 1.0}
    settings = {"baseline": {"ials": {"dim": 4}}, "history": history, "quiet": True}
    model = jr.fit(jr.split(read, "none").train, method, **settings)
    model.export(tmp_path / "bundle")
    for seen in ("exclude", "only"):
        wanted, found = (
            each.recommend(["u00", "u07"], k=9, seen=seen)
            for each in (model, jr.load(tmp_path / "bundle"))
        )
        assert found["item"] == wanted["item"]
        assert found["score"].to_pylist() == pytest.approx(wanted["score"].to_pylist(), abs=1e-6)
    plain = dataclasses.replace(model, config=RunConfig())
    assert plain.recommend(["u00"], k=9, seen="only") != model.recommend(["u00"], k=9, seen="only")
