"""What makes a comparison impossible."""

from __future__ import annotations


class CompareError(Exception):
    """Two sides cannot be compared; the text says why and what to do."""
