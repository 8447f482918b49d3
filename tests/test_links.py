"""Every relative link of every Markdown file leads somewhere, to a heading where it names one."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINK = re.compile(
    r"!?\[[^\]]*\]\(([^)\s]+)\)|^\[[^\]]+\]:\s*(\S+)|(?:src|href)=\"([^\"]+)\"", re.MULTILINE
)
OURS = re.compile(r"https://github\.com/pv-edge-agent/pv-edge-agent/(?:blob|raw)/main/")
"""Home Assistant shows the app's pages without the files beside them, so they link like this."""
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
SKIPPED = {".git", ".venv", "node_modules", "build", ".pytest_cache"}


def pages() -> list[str]:
    found = (it.relative_to(ROOT) for it in ROOT.rglob("*.md"))
    return sorted(str(it) for it in found if not SKIPPED & set(it.parts))


def headings(text: str) -> set[str]:
    """Return the anchors of a page, as GitHub makes them."""
    found = re.findall(r"^#{1,6}\s+(.+?)\s*$", FENCE.sub("", text), re.MULTILINE)
    plain = (re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", each) for each in found)
    kept = (re.sub(r"[^\w\- ]", "", each.lower()) for each in plain)
    return {each.replace(" ", "-") for each in kept}


def broken(path: Path, root: Path = ROOT) -> list[str]:
    """Return the links of a page that lead nowhere, or out of the repository."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    wrong = []
    for groups in LINK.findall(text):
        link = next(each for each in groups if each)
        home = path.parent
        if OURS.match(link):
            link, home = OURS.sub("", link), root
        elif re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (home / name).resolve() if name else path
        leads = target.exists() and target.is_relative_to(root)
        if leads and anchor and target.suffix == ".md":
            leads = anchor in headings(target.read_text(encoding="utf-8"))
        if not leads:
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("page", pages())
def test_every_link_leads_somewhere(page: str) -> None:
    assert broken(ROOT / page) == []


def test_a_broken_link_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# It's `one`\n[a](#its-one) [b](#two) [c](gone.md)\n```\n[d](code.md)\n```\n")
    assert broken(page, tmp_path) == ["#two", "gone.md"]
    assert headings("## What `X` is, and why\n") == {"what-x-is-and-why"}


def test_what_is_committed_is_what_is_looked_at() -> None:
    """A page that nobody walks would never be found broken."""
    git = ["git", "-C", str(ROOT), "ls-files", "*.md"]
    answer = subprocess.run(git, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    if answer.returncode:
        pytest.skip("not a git checkout")
    assert set(answer.stdout.split()) <= set(pages())
