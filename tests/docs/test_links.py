"""Every relative link in the documents leads to a file, and to a heading where it names one.

And no page says a thing twice.
"""

import collections
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def _links(page):
    code = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
    text = code.sub("", page.read_text(encoding="utf-8"))
    return re.findall(r"\]\(([^)\s]+)\)", text)


def _anchors(path):
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_link_leads_somewhere(page):
    for link in _links(page):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in _anchors(target), f"{page.name}: {link}"


def test_every_page_is_in_the_site_and_in_its_index():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    named = {page.name for page in (ROOT / "docs").glob("*.md")}
    assert set(re.findall(r"\w+\.md", str(nav))) == named
    assert set(_links(ROOT / "docs" / "index.md")) == named - {"index.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_no_heading_and_no_paragraph_stands_twice(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    blocks = re.split(r"\n\s*\n", text)
    told = [block for block in blocks if len(block) > 150 or block.startswith("## ")]
    assert [block for block, count in collections.Counter(told).items() if count > 1] == []
