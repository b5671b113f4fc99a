"""No code runs from data, and files belong to the user: checked in the source and in a real run."""

import ast
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import jaxrec
from jaxrec.errors import UserError
from jaxrec.runs.record import load_run
from jaxrec.runs.run_folder import RunFolder
from tests.recommending import recommend

ROOT = Path(__file__).parents[2]
FOLDERS = ("jaxrec", "configs", "benchmarks", "fuzz", "launch", "tests")
# Modules that make objects, and so run code, from what a file says.
UNSAFE_MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"}
UNSAFE_MODULES |= {"marshal", "jsonpickle", "yaml", "runpy", "code"}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__", "execfile"}
UNSAFE_ATTRIBUTES = {
    ("os", "system"),
    ("os", "popen"),
    ("torch", "load"),
    ("yaml", "load"),
    ("pd", "read_pickle"),
    ("np", "fromregex"),
    ("importlib", "import_module"),
}
NUMPY_FILES = {("np", "load"), ("np", "save"), ("numpy", "load"), ("numpy", "save")}
# Modules of our own by name: outside of what is installed, and where the public names are, by a
# table of their homes.
LAZY = "jaxrec/__init__.py"
IMPORTS_BY_NAME = ("importlib.import_module", "__import__")


def sources() -> list[Path]:
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    assert len(found) > 80
    return found


def unsafe(tree: ast.AST) -> Iterator[str]:
    """What in a module could run code that data bring, as `line: what`."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            if name.partition(".")[0] in UNSAFE_MODULES:
                yield f"{node.lineno}: import of {name}"
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Name) and function.id in UNSAFE_CALLS:
            yield f"{node.lineno}: {function.id}"
        pair = ("", "")
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            pair = (function.value.id, function.attr)
        if pair in UNSAFE_ATTRIBUTES:
            yield f"{node.lineno}: {'.'.join(pair)}"
        keywords = {word.arg: word.value for word in node.keywords}
        pickles = keywords.get("allow_pickle")
        may_pickle = pickles is not None or pair in NUMPY_FILES
        if may_pickle and not _is_false(pickles):
            yield f"{node.lineno}: {'.'.join(pair)} without allow_pickle=False"
        if "shell" in keywords and not _is_false(keywords["shell"]):
            yield f"{node.lineno}: a shell"


def _is_false(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_in_the_source_runs_code_from_data(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{what}"
        for path in sources()
        if path.relative_to(ROOT).parts[0] == folder
        for what in unsafe(ast.parse(path.read_text(encoding="utf-8")))
        if not (_may_import_by_name(path) and what.endswith(IMPORTS_BY_NAME))
    ]
    assert not found


def _may_import_by_name(path: Path) -> bool:
    name = path.relative_to(ROOT)
    return name.as_posix() == LAZY or name.parts[0] not in ("jaxrec", "configs")


def test_public_names_are_loaded_from_our_own_modules_alone() -> None:
    assert all(home.startswith("jaxrec.") for home in jaxrec._HOMES.values())
    for name in ("os", "jaxrec.main", "__import__"):
        with pytest.raises(AttributeError, match="no attribute"):
            getattr(jaxrec, name)


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from torch.utils import data; torch.load(path)",
        "from yaml import load",
        "eval(text)",
        "x = exec(text)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
    ],
)
def test_the_search_would_find_it(code: str) -> None:
    assert list(unsafe(ast.parse(code)))


def test_only_the_configs_named_on_the_command_line_are_python_that_is_run() -> None:
    """`DEFINE_config_file` runs the file of --config; nothing else loads modules by path."""
    loaders = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "jaxrec").rglob("*.py")
        if "DEFINE_config_file" in path.read_text(encoding="utf-8")
        or "spec_from_file_location" in path.read_text(encoding="utf-8")
    ]
    assert loaders == ["jaxrec/flags.py"]


RUN = """
import os, sys
from pathlib import Path

events = []
sys.addaudithook(lambda event, _: events.append(event) if event == "pickle.find_class" else None)
folder = Path(sys.argv[1])
from jaxrec import commands, main
from jaxrec.config import read_config
from jaxrec.runs.record import load_run
from jaxrec.runs.run_folder import RunFolder

listens = folder / "listens.csv"
pairs = [f"{user},{item}\\n" for user in range(4) for item in range(4) if user != item]
listens.write_text("user,item\\n" + "".join(pairs))
changes = {"data.source": "listens", "data.path": listens, "data.split": "none", "epochs": 1}
changes |= {"data.validation_fraction": 0.0, "model.dim": 2, "batch_size": 16, "quiet": True}
flags = [f"--config.{name}={value}" for name, value in changes.items()]
flags += [f"--workdir={folder / 'open'}"]
sys.argv = ["jaxrec", "train", "--config=configs/default.py", *flags]
os.umask(0)
assert main.main() == 0
options = {"lists": commands.Lists(k=2)}
commands.recommend(folder / "open", output=folder / "open" / "lists.csv", **options)
config = load_run(RunFolder(folder / "open")).config
os.umask(0o077)
commands.train(config, folder / "closed")
commands.recommend(folder / "closed", output=folder / "closed" / "lists.csv", **options)
assert not events, events
"""


CACHE = "JAX_COMPILATION_CACHE_DIR"  # the session's; here the user's own folder counts


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run made under the umask 0, `open`, and one under 077, `closed`; no pickle was read."""
    folder = tmp_path_factory.mktemp("umask")
    own = {name: value for name, value in os.environ.items() if name != CACHE}
    subprocess.run(
        [sys.executable, "-c", RUN, str(folder)],
        cwd=ROOT,
        env=own | {"XDG_CACHE_HOME": str(folder / "cache")},
        check=True,
        timeout=120,
    )
    return folder


def modes(folder: Path) -> dict[str, int]:
    found = {
        str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode)
        for path in [folder, *folder.rglob("*")]
    }
    assert len(found) > 15
    return found


def test_files_keep_to_a_strict_umask(runs: Path) -> None:
    for path, mode in modes(runs / "closed").items():
        assert mode & 0o077 == 0, f"{path} is {mode:o}"


def test_no_file_is_world_writable_under_any_umask(runs: Path) -> None:
    for path, mode in modes(runs / "open").items():
        assert mode & 0o002 == 0, f"{path} is {mode:o}"


def test_what_is_compiled_lies_where_the_user_alone_can_write_under_any_umask(runs: Path) -> None:
    folder = runs / "cache" / "jaxrec" / "compiled"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for library in folder.glob("*.so"):
        assert stat.S_IMODE(library.stat().st_mode) == 0o700


CODE = [
    "__import__('os').system('touch ran')",
    "!!python/object/apply:os.system ['touch ran']",
    "$(touch ran)",
    "`touch ran`; touch ran",
    "{self.__class__.__init__.__globals__}",
    "cos\nsystem\n(S'touch ran'\ntR.",
]


@pytest.mark.parametrize("code", CODE)
def test_a_saved_configuration_is_read_and_never_run(
    runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str
) -> None:
    folder = RunFolder(runs / "closed")
    original = folder.config.read_text()
    saved = json.loads(original)
    saved["config"]["data"]["path"] = code
    saved["protocol"]["note"] = code
    monkeypatch.chdir(tmp_path)
    try:
        folder.config.write_text(json.dumps(saved))
        assert load_run(folder).config.data.path == code
        saved["config"][code] = code
        folder.config.write_text(json.dumps(saved))
        with pytest.raises(UserError, match="is not a field"):
            load_run(folder)
        folder.config.write_text(code)
        with pytest.raises(UserError, match=r"config\.json: unreadable"):
            load_run(folder)
    finally:
        folder.config.write_text(original)
    assert not list(tmp_path.iterdir())
    assert not (runs / "closed" / "ran").exists()


def test_ids_like_code_come_out_as_they_went_in(runs: Path, tmp_path: Path) -> None:
    users = tmp_path / "users.txt"
    for code in CODE[:4]:
        users.write_text(code)
        with pytest.raises(UserError, match="none of the 1 listeners is known"):
            recommend(
                runs / "closed",
                k=2,
                output=tmp_path / "lists.csv",
                users=None,
                users_file=users,
                seen="exclude",
                step=None,
            )
    assert [path.name for path in tmp_path.iterdir()] == ["users.txt"]
