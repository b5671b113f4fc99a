"""How the house is built, read from its source: one registry of methods, the field's words."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaxrec.runs.methods import METHODS

ROOT = Path(__file__).parents[1]
REGISTRY = "jaxrec/runs/methods.py"
# Rooms below the ones that talk to people, who call a user a listener and an item a song.
FIELDS_WORDS = ("gcn", "models", "rank", "train", "runs", "search")
PEOPLES_WORDS = ("listener", "song", "artist")
UNFINISHED = ("TODO", "FIXME", "XXX", "HACK")


def sources(*rooms: str) -> Iterator[tuple[str, str]]:
    """Every module's path from the root and its text, of all of jaxrec or of some rooms."""
    for room in rooms or ("",):
        paths = sorted((ROOT / "jaxrec" / room).rglob("*.py"))
        assert paths, f"no such room as {room}"
        for path in paths:
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def compared_with_methods(tree: ast.AST) -> Iterator[int]:
    """The lines where something is compared with a method's name, or looked for among some."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
            found = [each for side in operands for each in _constants(side)]
        elif isinstance(node, ast.MatchValue):
            found = list(_constants(node.value))
        else:
            continue
        if set(found) & METHODS.keys():
            yield node.lineno


def _constants(node: ast.expr) -> Iterator[object]:
    if isinstance(node, ast.Constant):
        yield node.value
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        for each in node.elts:
            yield from _constants(each)
    elif isinstance(node, ast.Call):  # frozenset({...}), "...".lower()
        for each in node.args:
            yield from _constants(each)


def asks_whether_callable(tree: ast.AST) -> Iterator[int]:
    """The lines where one kind of thing is told from another by whether it can be called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "callable":
            yield node.lineno


def named(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every name that a module gives, with its line, and every docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
            yield getattr(node, "lineno", 1), ast.get_docstring(node) or ""


def parameters(tree: ast.AST) -> Iterator[tuple[int, set[str]]]:
    """Every function's line and the names of its parameters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            yield node.lineno, {each.arg for each in every}


def test_a_method_is_known_by_its_name_in_the_registry_and_in_autos_plan_alone() -> None:
    found = {
        path: lines
        for path, text in sources()
        if path != REGISTRY and (lines := list(compared_with_methods(ast.parse(text))))
    }
    assert not found


def test_nobody_asks_whether_a_model_can_be_called() -> None:
    found = {
        path: lines
        for path, text in sources()
        if (lines := list(asks_whether_callable(ast.parse(text))))
    }
    assert not found


def test_below_what_people_read_the_fields_words_are_used() -> None:
    found = [
        f"{path}:{line}: {word}"
        for path, text in sources(*FIELDS_WORDS)
        for line, name in named(ast.parse(text))
        for word in PEOPLES_WORDS
        if word in name.lower()
    ]
    assert not found


def test_how_to_sum_is_one_record_and_not_three_parameters() -> None:
    found = [
        f"{path}:{line}"
        for path, text in sources()
        for line, names in parameters(ast.parse(text))
        if len(names & {"kernel", "dtype", "read"}) > 1
    ]
    assert not found


def test_imports_run_one_way() -> None:
    """The contracts of pyproject.toml, by import-linter."""
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stdout + found.stderr


def test_nothing_is_left_unfinished() -> None:
    found = [f"{path}: {word}" for path, text in sources() for word in UNFINISHED if word in text]
    assert not found


@pytest.mark.parametrize(
    "code",
    [
        'config.method == "gcn"',
        '"ease" != name',
        'name in ("gcn", "other")',
        'name not in {"walks"}',
        'x if method == "blend" else y',
        'match name:\n    case "ials": pass',
    ],
)
def test_a_comparison_would_be_found(code: str) -> None:
    assert list(compared_with_methods(ast.parse(code)))


@pytest.mark.parametrize("code", ['fit(method="gcn")', 'metrics["most_popular"]["mean"] > 0', "1"])
def test_what_is_no_comparison_is_not(code: str) -> None:
    assert not list(compared_with_methods(ast.parse(code)))


def test_the_other_searches_would_find_it_too() -> None:
    assert list(asks_whether_callable(ast.parse("if callable(model): pass")))
    code = "def f(song_id, *, b):\n    'A listener.'\n    self.songs = artists = 1\n"
    words = " ".join(name for _, name in named(ast.parse(code)))
    assert all(word in words for word in ("song_id", "A listener", "songs", "artists"))
    assert list(parameters(ast.parse("def f(a, *, kernel): pass"))) == [(1, {"a", "kernel"})]
