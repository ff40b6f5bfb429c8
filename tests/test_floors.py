"""The packages of harness stand on each other floor by floor, and none on itself by way of them."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent


def package(module: str) -> str:
    """'harness.gate' of 'harness.gate.words', and of a module beside the packages itself."""
    return ".".join(module.split(".")[:2])


def stands_on() -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for file in (ROOT / "harness").rglob("*.py"):
        own = package(".".join(file.relative_to(ROOT).with_suffix("").parts))
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harness."):
                found[own].add(package(str(node.module)))
        found[own].discard(own)
    return found


def test_no_package_stands_on_itself() -> None:
    below = stands_on()
    assert "harness.compare" in below["harness.gate"]
    for start in list(below):
        seen: set[str] = set()
        left = [start]
        while left:
            for one in below.get(left.pop(), set()) - seen:
                seen.add(one)
                left.append(one)
        assert start not in seen, f"{start} stands on itself, by way of {sorted(seen)}"
