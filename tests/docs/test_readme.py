"""Each figure of the README's results names a configuration, and stands where its command does."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _section(link):
    """The text below the heading that a link of the README leads to."""
    path, _, anchor = link.partition("#")
    for block in re.split(r"^## ", (ROOT / path).read_text(encoding="utf-8"), flags=re.MULTILINE):
        heading, _, text = block.partition("\n")
        if re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") == anchor:
            return text
    raise AssertionError(link)


def test_each_result_has_its_network_and_its_figure_stands_in_the_section_that_it_links_to():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## Results")[2].partition("\n## ")[0]
    head, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line.startswith("|")
    )
    assert head == ["data, test part", "network", "top-1", "beside it", "more"]
    assert sum("paper.py" in row[1] and "%" in row[2] for row in rows) >= 2
    for _, network, top1, beside, link in rows:
        name = re.search(r"`(\w+\.py)`", network)[1]
        assert (ROOT / "experiments" / "configs" / name).is_file()
        section = _section(re.search(r"\((.+)\)", link)[1])
        for figure in re.findall(r"\d+\.\d", top1 + beside):
            assert figure in section, (figure, link)
