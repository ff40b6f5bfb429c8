"""What every recorded server was asked, and is asked of those written from documents."""

from __future__ import annotations

PROMPT = "def read_lines(path):\n    with open(path) as file:\n        return [line for line in"
TOKENS = (24, 8)
"""Limits of the answers in every transcript."""
