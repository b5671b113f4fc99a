"""The launch scripts with stand-ins for Python and pip: what is installed when, and what is run."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
TOOLS = ["bash", "basename", "cat", "chmod", "cp", "dirname", "env", "ls", "mkdir", "mv"]
TOOLS += ["readlink", "rm", "sleep"]
SCRIPTS = ["launch/environment.sh", "launch/train.sh", "launch/test.sh", "launch/serve.sh"]
SCRIPTS += ["launch/local.sh", "launch/slurm.sbatch"]
SCRIPTS += [".ci/audit", ".ci/kubernetes", ".ci/lowest", ".ci/run", ".ci/slurm", ".ci/wheel"]

# Stands in for Python: answers the version check, makes an environment with a copy of itself, and
# keeps a record of what pip is asked for and what is run.
STUB = """#!/usr/bin/env bash
record() { printf '%s\\n' "$*" >>"$RECORD"; }
case "$1 $2" in
  "-c "*) [[ -n "$STUB_VERSION" ]] && printf '%s\\n' "$STUB_VERSION" ;;
  "-m venv")
    record "venv ${*:3}"
    folder="${*: -1}"
    rm -rf "$folder" && mkdir -p "$folder/bin"
    printf '' >"$folder/pyvenv.cfg"
    cp "$0" "$folder/bin/python"
    ;;
  "-m pip")
    if [[ "$3" == --version ]]; then exit; fi
    record "pip ${*:3}"
    exit "${PIP_STATUS:-0}"
    ;;
  *)
    record "run ${*} | in $PWD | $PYTHONPATH"
    trap 'exit 143' TERM
    for number in $HANGS; do
      if [[ "$*" == *"--process=$number "* ]]; then while :; do sleep 0.05; done; fi
    done
    if [[ "$*" == *--process=1* ]]; then exit "${STATUS_OF_1:-0}"; fi
    ;;
esac
"""


class Machine:
    """A checkout in a folder with a space, on a machine with nothing but the tools named above."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "my checkout"
        self.record = folder / "record"
        self.bin = folder / "bin"
        shutil.copytree(REPOSITORY / "launch", self.root / "launch")
        (self.root / "requirements.txt").write_text("jax==1.0\n")
        (self.root / "requirements-dev.txt").write_text("-r requirements.txt\npytest==1.0\n")
        (self.root / "requirements-serve.txt").write_text("fastapi==1.0\n")
        self.bin.mkdir()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.python("python3.13")

    def python(self, name: str) -> None:
        (self.bin / name).write_text(STUB)
        (self.bin / name).chmod(0o755)

    def call(self, script, *arguments, cwd=None, status=0, **variables):
        """Runs a script, checks its exit status and returns what was recorded, and its stderr."""
        self.record.write_text("")
        environment = {"PATH": str(self.bin), "RECORD": str(self.record), "STUB_VERSION": "3.13.1"}
        path = Path(script) if Path(script).is_absolute() else self.root / "launch" / script
        done = subprocess.run(
            [str(path), *arguments],
            cwd=cwd or self.root,
            env=environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == status, done.stderr
        return self.record.read_text().splitlines(), done.stderr

    def installs(self, *arguments, **variables):
        """What pip was asked for by a call, without the options that are always there."""
        lines, _ = self.call(*arguments, **variables)
        options = "install --quiet --disable-pip-version-check --no-input "
        asked = [line for line in lines if line.startswith("pip ")]
        return [line.removeprefix("pip " + options).replace(f"{self.root}/", "") for line in asked]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_the_first_call_installs_and_the_second_only_runs(machine):
    assert machine.installs("train.sh") == ["-r requirements.txt"]
    lines, said = machine.call("train.sh", "--config.epochs=2")
    root = machine.root
    assert lines == [f"run -P -m jaxrec.main --config.epochs=2 | in {root} | {root}"]
    assert said == ""


def test_the_tests_install_the_development_requirements_and_run_pytest(machine):
    assert machine.installs("test.sh") == ["-r requirements-dev.txt"]
    lines, _ = machine.call("test.sh", "-k", "a b")
    assert lines == [f"run -m pytest -k a b | in {machine.root} | "]


def test_after_the_tests_training_needs_no_installation_but_not_the_other_way(machine):
    machine.call("test.sh")
    assert machine.installs("train.sh") == []
    assert machine.installs("test.sh") == []
    shutil.rmtree(machine.root / ".venv")
    machine.call("train.sh")
    assert machine.installs("test.sh") == ["-r requirements-dev.txt"]
    assert machine.installs("train.sh") == []


@pytest.mark.parametrize("text", ["jax==1.0.1\n", "jax==1\n", "jax==1.0\nflax==1.0\n"])
def test_changed_requirements_are_installed(machine, text):
    machine.call("train.sh")
    (machine.root / "requirements.txt").write_text(text)
    assert machine.installs("train.sh") == ["-r requirements.txt"]
    assert machine.installs("train.sh") == []


def test_changed_development_requirements_concern_the_tests_only(machine):
    machine.call("test.sh")
    (machine.root / "requirements-dev.txt").write_text("-r requirements.txt\npytest==2.0\n")
    assert machine.installs("train.sh") == []
    assert machine.installs("test.sh") == ["-r requirements-dev.txt"]


def test_a_failed_installation_runs_nothing_and_is_done_again(machine):
    machine.call("train.sh")
    (machine.root / "requirements.txt").write_text("jax==2.0\n")
    lines, said = machine.call("train.sh", PIP_STATUS="1", status=2)
    assert not [line for line in lines if line.startswith("run")]
    assert "could not install requirements.txt" in said
    # Even with the former requirements: the failed installation may have changed anything.
    (machine.root / "requirements.txt").write_text("jax==1.0\n")
    assert machine.installs("train.sh") == ["-r requirements.txt"]


def test_a_service_has_an_environment_of_its_own_without_jax(machine):
    machine.call("train.sh")
    wanted = {"JAXREC_ACCELERATOR": "cuda13"}
    assert machine.installs("serve.sh", **wanted) == ["-r requirements-serve.txt"]
    lines, said = machine.call("serve.sh", "--bundle=a b")
    root = machine.root
    assert lines == [f"run -P -m jaxrec.main serve --bundle=a b | in {root} | {root}"]
    assert said == ""
    (root / "requirements-serve.txt").write_text("fastapi==2.0\n")
    assert machine.installs("serve.sh") == ["-r requirements-serve.txt"]
    assert machine.installs("train.sh") == []


@pytest.mark.parametrize("accelerator", ["cuda13", "tpu"])
def test_the_accelerator_reaches_pip_and_is_remembered(machine, accelerator):
    wanted = {"JAXREC_ACCELERATOR": accelerator}
    assert machine.installs("train.sh", **wanted) == [f"-r requirements.txt jax[{accelerator}]"]
    assert machine.installs("train.sh", **wanted) == []
    assert machine.installs("train.sh") == []
    assert machine.installs("test.sh") == [f"-r requirements-dev.txt jax[{accelerator}]"]


def test_another_accelerator_makes_the_environment_anew(machine):
    machine.call("train.sh", JAXREC_ACCELERATOR="cuda13")
    lines, _ = machine.call("train.sh", JAXREC_ACCELERATOR="cpu")
    assert lines[0] == f"venv --clear {machine.root}/.venv"
    assert lines[1].startswith("pip ") and "[" not in lines[1]
    assert len(lines) == 3


def test_an_unknown_accelerator_is_refused(machine):
    lines, said = machine.call("train.sh", JAXREC_ACCELERATOR="gpu", status=2)
    assert lines == []
    assert said == "jaxrec: JAXREC_ACCELERATOR is 'gpu'; expected cpu, cuda13 or tpu\n"


def test_another_python_makes_the_environment_anew_and_the_same_does_not(machine, tmp_path):
    machine.call("train.sh", PYTHON="python3.13")
    assert machine.installs("train.sh", PYTHON="python3.13") == []
    other = tmp_path / "other"
    other.write_text(STUB.replace('"$STUB_VERSION" ;;', '"3.12.0" ;;', 1))
    other.chmod(0o755)
    lines, _ = machine.call("train.sh", PYTHON=str(other))
    assert [line.split()[0] for line in lines] == ["venv", "pip", "run"]
    assert machine.installs("train.sh") == []


def test_the_environment_can_lie_elsewhere(machine, tmp_path):
    venv = tmp_path / "an environment"
    assert machine.installs("test.sh", JAXREC_VENV=str(venv)) == ["-r requirements-dev.txt"]
    assert (venv / "bin" / "python").exists()
    assert not (machine.root / ".venv").exists()


def test_a_folder_that_is_no_environment_is_left_alone(machine, tmp_path):
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "file").write_text("kept")
    lines, said = machine.call("train.sh", JAXREC_VENV=str(folder), status=2)
    assert lines == []
    assert "is not a virtual environment" in said
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_without_a_python_that_can_serve_it_says_what_to_install(machine):
    lines, said = machine.call("train.sh", STUB_VERSION="", status=2)
    assert lines == []
    assert said.startswith("jaxrec: found no Python 3.11 or newer with venv and pip; install one")
    _, said = machine.call("train.sh", PYTHON="/no/python", status=2)
    assert said.startswith("jaxrec: PYTHON is '/no/python'; expected a Python 3.11 or newer")


@pytest.mark.parametrize("name", ["python3.12", "python3.11", "python3", "python"])
def test_any_name_of_python_will_do(machine, name):
    (machine.bin / "python3.13").rename(machine.bin / name)
    assert machine.installs("train.sh") == ["-r requirements.txt"]


def test_works_from_any_folder_and_through_a_link(machine, tmp_path):
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    link = tmp_path / "train link"
    link.symlink_to(machine.root / "launch" / "train.sh")
    lines, _ = machine.call(link, "--workdir=run", cwd=elsewhere)
    root = machine.root
    # Relative paths on the command line mean the caller's folder.
    expected = f"run -P -m jaxrec.main --workdir=run | in {elsewhere} | {root}"
    assert lines[-1] == expected
    lines, _ = machine.call("test.sh", cwd=elsewhere)
    assert lines[-1] == f"run -m pytest | in {root} | "


def test_several_processes_are_told_their_places_and_the_worst_status_counts(machine):
    lines, _ = machine.call("local.sh", "3", "train", "--workdir=a b", JAXREC_PORT="1234")
    root = machine.root
    places = [f"--processes=3 --process={n} --coordinator=127.0.0.1:1234" for n in range(3)]
    assert sorted(lines[2:]) == [
        f"run -P -m jaxrec.main train --workdir=a b {place} | in {root} | {root}"
        for place in places
    ]
    machine.call("local.sh", "3", "train", JAXREC_PORT="1234", STATUS_OF_1="7", status=7)


def test_a_signal_to_the_script_reaches_each_process(machine):
    machine.call("local.sh", "1", JAXREC_PORT="1234")
    machine.record.write_text("")
    process = subprocess.Popen(
        [str(machine.root / "launch" / "local.sh"), "2"],
        env={"PATH": str(machine.bin), "RECORD": str(machine.record), "STUB_VERSION": "3.13.1"}
        | {"HANGS": "0 1", "JAXREC_PORT": "1234"},
    )
    while machine.record.read_text().count("run ") < 2:
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.2)  # the scripts' traps
    process.terminate()
    assert process.wait(timeout=10) == 143


def test_how_many_processes_must_be_said(machine):
    lines, said = machine.call("local.sh", "train", status=2)
    assert lines == []
    assert said.startswith("jaxrec: the first word is 'train'; expected the number of processes")


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_valid_bash(script):
    subprocess.run(["bash", "-n", str(REPOSITORY / script)], check=True)


def test_scripts_may_be_run():
    for script in SCRIPTS[1:]:
        assert os.access(REPOSITORY / script, os.X_OK)


def test_each_requirement_is_pinned_to_one_version_per_python():
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-serve.txt"):
        lines = (REPOSITORY / name).read_text(encoding="utf-8").splitlines()
        for line in lines:
            assert line.startswith(("#", "-r ")) or line.count("==") == 1, f"{name}: {line}"


def test_a_service_is_tested_with_the_versions_that_it_installs():
    tested, served = (
        set((REPOSITORY / name).read_text(encoding="utf-8").splitlines())
        for name in ("requirements.txt", "requirements-serve.txt")
    )
    assert {line for line in served if not line.startswith("#")} <= tested
