"""The package holds all its files and asks for all it imports; `.ci/wheel` installs and uses it."""

import ast
import re
import sys
import tomllib
from collections import defaultdict
from itertools import chain

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.nursery import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGE = ROOT / "jaxrec"
# Where they differ from the import's; some come with another.
NAMES = {"absl": "absl-py", "orbax": "orbax-checkpoint", "jaxlib": "jax"}
NAMES |= dict.fromkeys(("anyio", "pydantic", "pydantic_core", "starlette"), "fastapi")
USED_BY_UVICORN = {"httptools", "uvloop"}  # where they are there; never imported by us


def lower_bounds() -> dict[str, str]:
    """The lowest version of each package that is asked for."""
    bounds = {}
    extras = PROJECT["project"]["optional-dependencies"].values()
    for each in map(Requirement, [*PROJECT["project"]["dependencies"], *chain(*extras)]):
        (bound,) = each.specifier
        assert bound.operator == ">=", each
        bounds[canonicalize_name(each.name)] = bound.version
    return bounds


def test_every_file_of_the_package_goes_into_the_wheel() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["jaxrec"]
    taken = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    for path in PACKAGE.rglob("*"):
        if path.is_dir():
            holds_code = any(path.glob("*.py"))
            assert (path / "__init__.py").exists() or not holds_code, f"{path} is no package"
        elif path.suffix not in (".py", ".pyc"):
            assert path in taken, f"{path}: expected a pattern of package-data"


def test_what_is_imported_is_asked_for_and_nothing_else() -> None:
    imported = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0 and node.module
                imported.add(node.module)
    tops = {name.split(".")[0] for name in imported} - {*sys.stdlib_module_names, "jaxrec"}
    assert {canonicalize_name(NAMES.get(top, top)) for top in tops} == (
        set(lower_bounds()) - USED_BY_UVICORN
    )


def test_the_tested_versions_are_within_the_bounds() -> None:
    tested = defaultdict(list)
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            each = Requirement(line)
            tested[canonicalize_name(each.name)].append(str(each.specifier).removeprefix("=="))
    jaxlib = tested.pop("jaxlib")  # comes with jax
    assert jaxlib == tested["jax"]
    assert set(tested) == set(lower_bounds())
    for name, bound in lower_bounds().items():
        specifier = Requirement(f"{name}>={bound}").specifier
        assert all(specifier.contains(version) for version in tested[name]), name


def test_the_console_command_is_the_module_that_python_runs() -> None:
    assert PROJECT["project"]["scripts"] == {"jaxrec": "jaxrec.main:main"}
    assert re.search(r"^def main\(\) -> int:", (PACKAGE / "main.py").read_text(), re.MULTILINE)
