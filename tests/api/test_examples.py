"""Every public docstring has an example, and every example runs."""

import doctest
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

import jaxrec as jr
from tests.api.groups import table

PUBLIC = {name: getattr(jr, name) for name in jr.__all__}
ERRORS_AND_RECORDS = {"Evaluation", "Interactions", "Listens", "RunError", "Split", "UserError"}


def documented() -> list[tuple[str, Any]]:
    """The public functions, and the public methods of the public class."""
    found = [(name, each) for name, each in PUBLIC.items() if name not in ERRORS_AND_RECORDS]
    own = vars(jr.Recommender)
    found += [(f"Recommender.{name}", own[name]) for name in own if not name.startswith("_")]
    return [(name, each) for name, each in found if getattr(each, "__doc__", None)]


@pytest.mark.parametrize(("name", "public"), documented(), ids=[name for name, _ in documented()])
def test_the_example_runs(
    name: str, public: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listens = jr.read(table())
    names = {"jr": jr, "everyone": listens, "groups": jr.split(listens, "none").train}
    text = inspect.getdoc(public) or ""
    test = doctest.DocTestParser().get_doctest(text, names, name, None, 0)
    assert test.examples, f"{name} has no example"
    output: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=output.append)
    assert result.failed == 0, "".join(output)


def test_every_public_name_can_be_had() -> None:
    for name in jr.__all__:
        assert getattr(jr, name) is not None
        assert name in dir(jr)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        importlib.import_module("jaxrec").nonsense  # noqa: B018
