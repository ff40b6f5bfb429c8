"""docs/share.md shows what the tool says."""

from __future__ import annotations

import re
from pathlib import Path

from harness.share.make import make_share
from harness.share.share import SharedSample

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs/share.md"
BLOCK = re.compile(r"<!-- share: (\S+) -->\n(.*?)<!-- end of share -->", re.DOTALL)


def test_the_row_is_the_examples() -> None:
    found = BLOCK.search(DOCUMENT.read_text("utf-8"))
    assert found is not None
    share = make_share(ROOT / found[1])
    assert found[2].strip() == f"{share.header}\n{share.row}\n\n{share.footnote}"


def test_every_field_is_explained() -> None:
    text = DOCUMENT.read_text("utf-8")
    for name in SharedSample.model_fields:
        assert f"`{name}`" in text, name
