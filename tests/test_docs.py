"""Links lead somewhere, answers are short, and the lab's entries say all they should."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.nursery import ROOT

DOCS = ROOT / "docs"
LAB = DOCS / "lab"
PAGES = sorted({*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")})
ENTRIES = sorted(set(LAB.glob("*.md")) - {LAB / "README.md"})
PARTS = ("Asked", "Predicted", "Measured", "Command", "Commit", "Outcome")
NO_FILE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)  # https:, mailto:


def inline_tokens(page: Path) -> Iterator[tuple[Token, Token | None]]:
    """Each run of text of a page, with the token before it, which says what it is the text of."""
    before = None
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8")):
        if token.type == "inline":
            yield token, before
        before = token


def links(page: Path) -> list[str]:
    """Where a page's links and pictures lead."""
    children = (child for token, _ in inline_tokens(page) for child in token.children or ())
    targets = (child.attrGet("href") or child.attrGet("src") for child in children)
    return [str(target) for target in targets if target]


def anchors(page: Path) -> set[str]:
    """A page's headings as GitHub numbers and writes them in addresses."""
    seen: Counter[str] = Counter()
    found = set()
    for token, before in inline_tokens(page):
        if before is not None and before.type == "heading_open":
            text = "".join(child.content for child in token.children or ())
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return found


def broken_links(page: Path) -> list[str]:
    """Those of a page's links inside the project that lead to no file, or to no heading of it."""
    broken = []
    for link in links(page):
        if NO_FILE.match(link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def test_a_link_to_nothing_is_seen(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A `b` and c, d!\n\ntext\n\n## Twice\n\n## Twice\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n\n[1](other.md) [2](other.md#a-b-and-c-d) [3](other.md#twice-1) [4](#here)\n"
        "[over\nlines](https://example.org/gone.md)\n"
        "![5](lost.png) [6](other.md#twice-2) [7](#there)\n"
        "`[8](in-code.md)`\n\n```\n[9](in-a-fence.md)\n```\n\n| [10](in-a-table.md) |\n|---|\n"
    )
    assert broken_links(page) == ["lost.png", "other.md#twice-2", "#there", "in-a-table.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert not broken_links(page)


@pytest.mark.parametrize("name", ["results.md", "performance.md"])
def test_answers_are_short(name: str) -> None:
    lines = (DOCS / name).read_text("utf-8").splitlines()
    assert len(lines) <= 80, "what was tried on the way belongs into docs/lab"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.stem)
def test_an_entry_of_the_lab_is_a_question_with_all_its_parts(entry: Path) -> None:
    text = entry.read_text("utf-8")
    assert text.splitlines()[0].startswith("# ")
    assert text.splitlines()[0].endswith("?")
    assert tuple(re.findall(r"^\*\*(\w+):\*\* \S", text, re.MULTILINE)) == PARTS


def test_the_lab_lists_each_entry_once() -> None:
    listed = Counter(link for link in links(LAB / "README.md") if "/" not in link)
    assert listed == Counter(entry.name for entry in ENTRIES)
