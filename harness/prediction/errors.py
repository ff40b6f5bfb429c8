"""What is wrong with a question about another machine."""

from __future__ import annotations

from harness.calculator.calculator import CalculatorError


class PredictionError(CalculatorError):
    """The question has no answer as it is put; the text says what to change."""
