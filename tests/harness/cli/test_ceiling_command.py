from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from harness.cli.__main__ import app
from harness.machine.cards import find_card
from tests.harness.models.gguf_files import dense, total, write

ON_A_4090 = ("--bytes", "14GB", "--hardware", "RTX 4090")
NGRAM = ("--method", "ngram", "--draft-tokens", "1-4")


def ceiling(*arguments: str | Path) -> tuple[int, str, str]:
    """Status, standard output and standard error."""
    result = CliRunner().invoke(app, ["ceiling", *(str(argument) for argument in arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_the_article_s_27b() -> None:
    status, out, err = ceiling(*ON_A_4090)
    assert (status, err) == (0, "")
    assert "72.0" in out
    assert "used: 1008 GB/s nominal, GeForce RTX 4090" in out


def test_speculation_as_json(tmp_path: Path) -> None:
    status, out, _ = ceiling(
        *ON_A_4090,
        *("--method", "mtp", "--draft-tokens", "1-8", "--acceptance", "0.65"),
        *("--verify-cost", "0.05", "--json", "--plot", tmp_path / "a.svg"),
    )
    assert status == 0
    found = json.loads(out)
    assert [row["draft_tokens"] for row in found["rows"]] == list(range(9))
    assert [row["draft_tokens"] for row in found["rows"] if row["best"]] == [5]
    assert found["bandwidths"][0]["used"]
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")


def test_the_hardware_that_help_names_is_in_the_table() -> None:
    (option,) = (o for o in get_command(app).commands["ceiling"].params if o.name == "hardware")  # type: ignore[attr-defined]
    names = re.findall(r"'([^']+)'", option.help)
    assert len(names) == 3
    for name in names:
        assert find_card(name).bytes_per_s > 0


def test_a_model_file_at_two_depths(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf", dense())
    status, out, _ = ceiling(path, "--bandwidth", "1TB/s", "--depth", "0,32768", "--json")
    assert status == 0
    found = json.loads(out)
    assert found["active_bytes"] == total(dense())
    assert [row["depth"] for row in found["rows"]] == [0, 32768]
    assert found["rows"][1]["tokens_per_s"] < found["rows"][0]["tokens_per_s"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give a model file, or --bytes"),
        (["none.gguf"], "none.gguf does not exist"),
        ([Path(__file__)], "is not a GGUF file"),
        (["--bytes", "14"], "--bytes: '14' is no size such as 14GB"),
        (["--bytes", "-14GB"], "--bytes: '-14GB' is no size"),
        (["--bytes", "14GB", "--bandwidth", "-1GB/s"], "--bandwidth: '-1GB/s' is no bandwidth"),
        (["--bytes", "14GB", "--bandwidth", "0GB/s"], "--bandwidth: '0GB/s' is no bandwidth"),
        (["--bytes", "14GB", "--bandwidth", "1008"], "--bandwidth: '1008' is no bandwidth"),
        (["--bytes", "14GB", "--hardware", "RTX 4099"], "near are GeForce RTX 4090"),
        (["--bytes", "14GB", "--hardware", "H100"], "'H100' may be several: H100 PCIe"),
        ([*ON_A_4090, "--depth", "x"], "--depth: 'x' is no list of numbers"),
        ([*ON_A_4090, "--depth", "8192"], "--depth needs a model file"),
        ([*ON_A_4090, "--method", "magic"], "--method: 'magic' is none of none, mtp"),
        ([*ON_A_4090, *NGRAM], "how often drafts are accepted"),
        ([*ON_A_4090, *NGRAM, "--acceptance", "65"], "--acceptance: '65' is no share"),
        ([*ON_A_4090, *NGRAM, "--acceptance", "1", "--verify-cost", "-1"], "0 or more plain"),
        ([*ON_A_4090, "--plot", "a.jpeg"], "--plot: 'a.jpeg' ends with none of"),
        ([*ON_A_4090, "--plot", "none/a.svg"], "--plot: cannot write none/a.svg"),
    ],
)
def test_bad_input_is_one_message_and_status_2(
    arguments: list[str | Path],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = ceiling(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("bench: ")
    assert words in err
    assert "Traceback" not in err


def test_help_loads_nothing_heavy() -> None:
    heavy = "{'numpy', 'pandas', 'scipy', 'matplotlib', 'gguf', 'pydantic'}"
    code = f"import sys, harness.cli.ceiling; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
