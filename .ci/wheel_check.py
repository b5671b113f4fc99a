"""Uses the installed package as its users do, in a folder with nothing but the configs.

`.ci/wheel` calls it with the folder of the sources, to compare the files that were installed.
"""

import csv
import importlib.metadata
import importlib.util
import re
import runpy
import subprocess
import sys
from pathlib import Path

import jaxrec
from jaxrec.config import read_config

USERS, ITEMS = 40, 12


def main(sources: Path) -> None:
    """Ends with an error at the first thing that isn't as it should be."""
    all_files_are_installed(sources)
    every_config_is_read_from_here()
    the_command_line_recommends()
    the_example_runs(sources.parent / "README.md")


def all_files_are_installed(sources: Path) -> None:
    """Nothing is left behind in the checkout, and nothing but jaxrec is installed."""
    installed = Path(jaxrec.__file__).parent
    assert "site-packages" in installed.parts, installed
    wanted, found = files_in(sources), files_in(installed)
    assert wanted == found, f"missing {wanted - found}, too much {found - wanted}"
    top_level = importlib.metadata.distribution("jaxrec").read_text("top_level.txt")
    assert top_level == "jaxrec\n", top_level
    assert importlib.util.find_spec("configs") is None


def files_in(folder: Path) -> set[str]:
    """The files of a package, by path in its folder."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if "__pycache__" not in path.parts}


def every_config_is_read_from_here() -> None:
    """A config file needs nothing but the package."""
    configs = sorted(Path.cwd().glob("*.py"))
    assert configs
    for path in configs:
        read_config(runpy.run_path(str(path))["get_config"]().to_dict())


def the_command_line_recommends() -> None:
    """`jaxrec` learns from a CSV with the template, and writes a list for each listener."""
    with Path("listens.csv").open("w", newline="", encoding="utf-8") as file:
        users = ["ann", *(f"u{number}" for number in range(1, USERS))]
        rows = [(u, f"s{s}") for n, u in enumerate(users) for s in range(ITEMS) if (n + s) % 3]
        csv.writer(file).writerows([("user", "song"), *rows])
    Path("listens.py").rename("my_listens.py")
    jaxrec_command(
        "--config=my_listens.py",
        "--config.data.columns.item=song",
        "--config.epochs=1",
        "--config.quiet=True",
    )
    jaxrec_command("recommend", "--k=2", "--output=lists.csv")
    with Path("lists.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * USERS, len(rows)


def the_example_runs(readme: Path) -> None:
    """The README's Python, as it stands there, in a notebook's way: one cell."""
    (example,) = re.findall(r"```python\n(.*?)```", readme.read_text("utf-8"), re.DOTALL)
    exec(compile(example, readme.name, "exec"), {})
    assert Path("model", "config.json").exists()


def jaxrec_command(*arguments: str) -> None:
    """The console command, installed beside this Python."""
    subprocess.run([Path(sys.executable).with_name("jaxrec"), *arguments], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
