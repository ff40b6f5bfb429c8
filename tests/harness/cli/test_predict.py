from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli.__main__ import app

DEMO = Path(__file__).parents[3] / "results" / "examples" / "demo"


def predict(*arguments: str | Path) -> tuple[int, str, str]:
    """Status, standard output and standard error."""
    result = CliRunner().invoke(app, ["predict", *(str(argument) for argument in arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_on_a_4090() -> None:
    status, out, err = predict(DEMO, "--hardware", "RTX 4090")
    assert (status, err) == (0, "")
    assert "1008" in out
    assert "plain could be best" in out


def test_as_json() -> None:
    status, out, _ = predict(DEMO, "--bandwidth", "400GB/s", "--verify-cost", "0.3", "--json")
    assert status == 0
    found = json.loads(out)
    assert found["question"]["bandwidth"] == 400e9
    assert [w["workload"] for w in found["workloads"]] == ["coding", "prose"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((DEMO, "--hardware", "RTX 4095"), "near are"),
        ((DEMO, "--bandwidth", "fast"), "--bandwidth: 'fast' is no bandwidth"),
        ((DEMO, "--verify-cost", "-1", "--hardware", "4090"), "--verify-cost"),
        (("/no/such/run",), "no/such/run"),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[str | Path, ...], words: str) -> None:
    status, out, err = predict(*arguments)
    assert (status, out) == (2, "")
    assert words in err
    assert len(err.strip().splitlines()) == 1
