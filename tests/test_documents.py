"""What the documents say is what the tool said, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "results/README.md"])


def test_the_readmes_result_is_the_examples() -> None:
    readme = (ROOT / "README.md").read_text()
    found = re.search(r"<!-- result: (\S+) -->\n(.*?)<!-- end of result -->", readme, re.DOTALL)
    assert found is not None
    report = (ROOT / found[1] / "report.md").read_text()
    lines = [line for line in found[2].splitlines() if line.strip()]
    assert len(lines) > 10
    for line in lines:
        assert line in report.splitlines(), line


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target
