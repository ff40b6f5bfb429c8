"""Launches as mlx-lm's arguments, and what of them is refused. mlx-lm itself is not needed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from runners.base.contract import Found, LaunchSpec, Missing, OptionValue, UsageError
from runners.base.speculation import PLAIN_DECODING, Speculation, SyntheticAcceptance
from runners.mlx import package
from runners.mlx.options import Launch, canonical, launch_of
from runners.mlx.package import Package
from runners.mlx.runner import Mlx, _support

COMMON = ("prefill_step_size", "kv_bits", "kv_group_size", "quantized_kv_start", "max_tokens")
PACKAGE = Package("/e/python", "1", "2", ("CPU: x",), ("max_kv_size", *COMMON), COMMON, ())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def launch(
    folder: Path | None, speculation: Speculation = PLAIN_DECODING, **options: OptionValue
) -> Launch:
    return launch_of(LaunchSpec(folder, speculation, tuple(options.items())), PACKAGE)


def test_arguments_by_any_spelling(folder: Path) -> None:
    spec = LaunchSpec(
        folder,
        Speculation("draft-model", 3, folder),
        (("--kv-bits", 4), ("prefill-step-size", "64")),
    )
    assert launch_of(spec, PACKAGE) == Launch(
        str(folder), str(folder), 3, {"kv_bits": 4, "prefill_step_size": 64}
    )
    assert launch(folder, max_kv_size=100) == Launch(str(folder), None, None, {"max_kv_size": 100})
    assert canonical("--kv-group-size") == "kv_group_size"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kv_bit": 4}, "no option 'kv_bit'; did you mean kv_bits"),
        ({"zzz": 4}, "known: max_kv_size, kv_bits"),
        ({"kv_bits": 7}, "kv_bits cannot be '7': expected 2, 3, 4"),
        ({"kv_bits": "many"}, "cannot be 'many'"),
        ({"max_kv_size": 0}, "cannot be '0': expected a number of tokens"),
        ({"num_draft_tokens": 2}, "num_draft_tokens is set by --draft-tokens"),
    ],
)
def test_wrong_options(folder: Path, options: dict[str, OptionValue], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        launch(folder, **options)


def test_what_mlx_lm_would_silently_ignore(folder: Path) -> None:
    with pytest.raises(UsageError, match="ignores max_kv_size with a draft model"):
        launch(folder, Speculation("draft-model", 2, folder), max_kv_size=100)


def test_wrong_speculation_and_models(folder: Path, tmp_path: Path) -> None:
    synthetic = Speculation("draft-model", 2, folder, SyntheticAcceptance(length=2.0))
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    for model, speculation, words in (
        (folder, Speculation("mtp", 2), "cannot speculate by 'mtp'"),
        (folder, synthetic, "no synthetic acceptance"),
        (folder, Speculation("draft-model", 2), "--draft-model FOLDER"),
        (folder, Speculation("draft-model", 2, file), "--draft-model .*reads folders"),
        (None, PLAIN_DECODING, "--model FOLDER"),
        (file, PLAIN_DECODING, "reads folders"),
        (tmp_path / "nowhere", PLAIN_DECODING, "there is no such folder"),
    ):
        with pytest.raises(UsageError, match=words):
            launch(model, speculation)


def test_methods_and_a_version_that_knows_mtp() -> None:
    assert _support("draft-model", PACKAGE).supported
    assert _support("mtp", PACKAGE).note == "not supported by mlx-lm 1"
    later = Package("/e/python", "9", "9", (), (), (), ("mtp_generate_step",))
    support = _support("mtp", later)
    assert not support.supported
    assert "mtp_generate_step" in support.note


def test_environments_without_mlx_lm(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no module mlx_lm')\n")
    python.chmod(0o755)
    for program, words in ((str(tmp_path / "none"), "no program"), (str(python), "no module mlx")):
        found = Mlx(program).find()
        assert isinstance(found, Missing)
        assert words in found.reason
        assert "--mlx" in found.advice


def test_what_is_found_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This Python, else the environment that `make runners` made, else none."""
    asked: list[str] = []

    def ask(python: str) -> Package:
        asked.append(python)
        return PACKAGE

    monkeypatch.setattr(package, "_ask", ask)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    nothing = Mlx().find()
    assert isinstance(nothing, Missing)
    assert "no Python that has mlx-lm" in nothing.reason
    made = tmp_path / "decodebench" / "environments" / "mlx-1" / "bin" / "python"
    made.parent.mkdir(parents=True)
    made.touch()
    (made.parents[1] / ".ready").touch()
    assert isinstance(Mlx().find(), Found)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert isinstance(Mlx().find(), Found)
    assert asked == [str(made), sys.executable]
