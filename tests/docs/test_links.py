"""Every relative link in the documents leads to a file, and to a heading where it names one.

And no page says a thing twice.
"""

import collections
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def _links(page):
    code = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
    text = code.sub("", page.read_text(encoding="utf-8"))
    return re.findall(r"\]\(([^)\s]+)\)", text)


def _anchors(path):
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _leads(page, link):
    path, _, anchor = link.partition("#")
    target = (page.parent / path) if path else page
    return "://" in link or (target.exists() and (not anchor or anchor in _anchors(target)))


def test_a_link_leads_somewhere():
    wrong = [f"{page.name}: {x}" for page in PAGES for x in _links(page) if not _leads(page, x)]
    assert not wrong


def test_every_page_is_in_the_site_and_in_its_index():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    named = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert set(re.findall(r"[\w/]+\.md", str(nav))) == named
    assert {link.partition("#")[0] for link in _links(DOCS / "index.md")} == named - {"index.md"}


def test_a_page_that_the_code_or_the_notebook_names_is_there():
    files = [ROOT / name for name in ("Makefile", "compose.yaml", "setup.py", "Dockerfile")]
    for folder in ("preprocessing", "stfnet", "experiments", "benchmarks", "tests", "notebooks"):
        files += [path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".ipynb")]
    named = {
        (path.name, page)
        for path in files
        for page in re.findall(r"\bdocs/[\w/]+\.md", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 8
    assert not {(name, page) for name, page in named if not (ROOT / page).is_file()}


def test_a_page_of_the_guide_and_the_page_of_results_are_short():
    for page in (DOCS / "guide").glob("*.md"):
        assert len(page.read_text(encoding="utf-8").splitlines()) < 120, page.name
    assert len((DOCS / "results.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_no_heading_and_no_paragraph_stands_twice():
    twice = []
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        blocks = re.split(r"\n\s*\n", text)
        told = [block for block in blocks if len(block) > 150 or block.startswith("## ")]
        counts = collections.Counter(told).items()
        twice += [f"{page.name}: {block}" for block, count in counts if count > 1]
    assert not twice, "\n".join(twice)
