"""The command line: one clear line and exit status 2 for every mistake, never a traceback."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.nursery import ROOT, Nursery

CONFIG = f"--config={ROOT / 'configs' / 'default.py'}"


class Said(NamedTuple):
    """How a command ended, and what it said."""

    status: int | None
    stdout: str
    stderr: str


def jaxrec(nursery: Nursery, *arguments: str, cwd: Path) -> Said:
    """The command in a fork of a process that has imported it."""
    environment = nursery.environment(XDG_CACHE_HOME=str(cwd / ".cache"))
    process = nursery.start(arguments, {}, environment, cwd, hasty=True)
    stdout, stderr = process.communicate(timeout=120)
    return Said(process.returncode, stdout, stderr)


def as_users_do(*arguments: str, cwd: Path) -> Said:
    """The command itself."""
    ended = subprocess.run(
        [sys.executable, "-m", "jaxrec.main", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cwd / ".cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return Said(ended.returncode, ended.stdout, ended.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([CONFIG, "--config.foo=1"], "config.foo is not a field; expected method, epochs, lr,"),
        ([CONFIG, "--config.model.dmi=1"], "did you mean config.model.dim?"),
        ([CONFIG, "--config.lr=abc"], "config.lr is 'abc'; expected a number above 0"),
        ([CONFIG, "--config.epochs=0"], "config.epochs is 0; expected a whole number of at"),
        ([CONFIG, "--config.data.split=x"], "config.data.split is 'x'; expected one of none,"),
        ([CONFIG, "--config.data.source=x"], "config.data.source is 'x'; expected"),
        (["--config=nope.py"], "--config=nope.py: no such file"),
        (["--config=broken.py"], "--config=broken.py: SyntaxError"),
        (["--config=typo.py"], "--config=typo.py:2: TypeError: can only concatenate str"),
        (
            ["--config=none.py"],
            "--config=none.py: get_config() returns None; expected a ConfigDict",
        ),
        (["--config=empty.py"], "--config=empty.py: AttributeError: "),
        (
            ["--config=wants.py"],
            "--config=wants.py: TypeError: get_config() missing 1 requir",
        ),
        (["--config=wants.py:a"], "--config=wants.py:2: KeyError: 'a'; expected a config file"),
        (["--config=none.py:a"], "; expected --config=FILE:ARGUMENT where get_config takes an arg"),
        (["--config=nope.py:a"], "--config=nope.py:a: no such file"),
        (["--config.lr=0"], "config.lr is 0.0; expected a number above 0"),
        (["evaluate", "--config.lr=1"], "--config.lr needs a config; expected --config=FILE"),
        (["fly"], "command is 'fly'; expected one of prepare, train, evaluate, recommend, explain"),
        (["--nonsense"], "nonsense"),
        (["train", "--workdir", "evaluate"], "--config is missing; expected --config=FILE or --c"),
        (["tune", CONFIG, "--config.tune.space=lr"], "config.tune.space has 'lr': expected"),
        (["tune", CONFIG, "--config.tune.space=()"], "config.tune.space is (); expected a list"),
        (["evaluate", "--final", "--workdir=empty"], "--workdir=empty: no best_config.json there"),
        (["evaluate", "--final", "--seeds=0"], "--seeds=0"),
        (["evaluate", "--final", "--step=1"], "--step=1 with --final; expected one of them"),
        (["evaluate", "--workdir=empty"], "--workdir=empty: no run there (no config.json)"),
        (["evaluate", CONFIG, "--workdir=empty"], "--workdir=empty: no run there"),
        (["evaluate", CONFIG, "--config.eval.metric=map@5"], "--config.eval.metric with evaluate"),
        (["evaluate", "--seeds=2"], "--seeds=2 without --final; expected both"),
        (["evaluate", CONFIG, "--config.walks.weight=4"], "--config.walks.weight with evaluate: a"),
        (["train", CONFIG, "--final"], "--final is for evaluate; expected flags of train: --c"),
        (["recommend", "--users=a,,b"], "--users=a,,b: an empty id; expected ids by commas"),
        (["recommend", "--users="], "--users=: an empty id; expected ids by commas"),
        (["compare"], "--runs=: 0 run(s); expected at least two folders"),
        (["compare", "--runs=a,b"], "a: no results there (no results.json)"),
        (["recommend", "--k=0"], "--k=0"),
        (["recommend", "--config=default"], "--config with recommend: it says how --histories is"),
        (
            ["recommend", "--histories=a.csv", "--config=default", "--config.lr=1"],
            "--config.lr with recommend: expected fields below config.data",
        ),
        (["explain", "--users=a"], "--item is missing; expected the id of a song"),
        (["explain", "--users=a,b", "--item=c"], "--users=a,b: expected the id of one listener"),
        (["score"], "--pairs is missing; expected a file with the columns user and item"),
        (
            ["score", "--users=a"],
            "--users is for recommend, explain, similar; expected flags of score",
        ),
        (["recommend", "--workdir=empty"], "--workdir=empty: no run there"),
        (["export", "--workdir=empty"], "--workdir=empty: no run there"),
        (["serve", "--workdir=empty"], "--workdir=empty: no run there"),
        (["serve", "--bundle=empty"], "empty: no bundle there (no manifest.json)"),
        (["serve", "--bundle=a", "--workdir=b"], "--bundle=a with --workdir=b; expected one of"),
        (["serve", "--port=70000"], "--port=70000"),
        (["train", CONFIG, "--port=80"], "--port is for serve; expected flags of train: --c"),
        (["similar", "--workdir=empty"], "--item is missing; expected the id of a song"),
        (
            [CONFIG, "--config.data.source=listens", "--config.data.path=bad.csv"],
            "bad.csv:3: ",
        ),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    nursery: Nursery, arguments: list[str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("def get_config(:\n")
    (tmp_path / "typo.py").write_text("def get_config():\n    return 'a' + 1\n")
    (tmp_path / "none.py").write_text("def get_config():\n    pass\n")
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "wants.py").write_text("def get_config(name):\n    return {}[name]\n")
    (tmp_path / "bad.csv").write_text("user,item\na,x\n,y\n")
    result = jaxrec(nursery, *arguments, cwd=tmp_path)
    assert result.status == 2
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} <= {
        "broken.py",
        "typo.py",
        "none.py",
        "empty.py",
        "wants.py",
        "bad.csv",
        "__pycache__",
        ".cache",
    }


def test_nothing_else_is_said_as_the_process_ends(tmp_path: Path) -> None:
    early = as_users_do(CONFIG, "--config.epochs=0", cwd=tmp_path)
    late = as_users_do("recommend", "--workdir=empty", cwd=tmp_path)
    for result in (early, late):
        assert result.status == 2
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1


def test_a_config_file_may_set_only_what_it_changes_and_flags_any_field(
    nursery: Nursery, tmp_path: Path
) -> None:
    for name, field in ("small", "source"), ("wrong", "sources"):
        (tmp_path / f"{name}.py").write_text(
            "from ml_collections import ConfigDict\n"
            f"def get_config():\n    return ConfigDict({{'data': {{'{field}': 'listens'}}}})\n"
        )
    flags = "--config.data.path=nowhere.csv", "--config.model.layer_zero=0.5"
    result = jaxrec(nursery, "--config=small.py", *flags, cwd=tmp_path)
    assert result.status == 2 and "nowhere.csv" in result.stderr
    result = jaxrec(nursery, "--config=wrong.py", *flags, cwd=tmp_path)
    assert "config.data.sources is not a field; did you mean config.data.source?" in result.stderr


def test_what_follows_a_colon_is_the_argument_of_get_config(
    nursery: Nursery, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(
        "from jaxrec.config import default_config\n"
        "def get_config(path):\n"
        "    config = default_config()\n"
        "    config.data.source, config.data.path = 'listens', f'{path}.csv'\n"
        "    return config\n"
    )
    result = jaxrec(nursery, "--config=mine.py:a:b", cwd=tmp_path)
    assert result.status == 2 and "a:b.csv" in result.stderr


def test_help_shows_each_command_with_an_example(tmp_path: Path) -> None:
    result = as_users_do("--help", cwd=tmp_path)
    assert result.status == 0
    commands = "train evaluate recommend explain score similar tune compare export serve"
    for command in commands.split():
        assert f"jaxrec {command} --" in result.stdout


def test_the_last_config_counts_and_overrides_apply_to_it(tmp_path: Path) -> None:
    other = f"--config={ROOT / 'configs' / 'gowalla.py'}"
    result = as_users_do(CONFIG, other, "--config.data.path=nowhere", cwd=tmp_path)
    assert result.status == 2
    assert "nowhere" in result.stderr
    assert "train.txt" in result.stderr
