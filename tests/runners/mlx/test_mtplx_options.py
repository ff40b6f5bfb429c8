"""Launches as the arguments of `mtplx serve`, and what of them is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from runners.base.contract import LaunchSpec, OptionValue, UsageError
from runners.base.speculation import PLAIN_DECODING, Speculation, SyntheticAcceptance
from runners.mlx.mtplx_options import applies, arguments_of, canonical


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def words(
    folder: Path | None, speculation: Speculation = PLAIN_DECODING, **options: OptionValue
) -> list[str]:
    return arguments_of(LaunchSpec(folder, speculation, tuple(options.items())))


def test_options_by_any_spelling(folder: Path) -> None:
    assert canonical("--kv_quant") == "paged-kv-quantization"
    given = words(folder, kv_quant=False, context_window=512, fan_mode="max")
    assert given[-6:] == [
        *("--paged-kv-quantization", "off"),
        *("--context-window", "512"),
        *("--fan-mode", "max"),
    ]
    assert given.count("--context-window") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kv_quants": "q8"}, "no option 'kv_quants' that bench knows"),
        ({"prefill_chunk_token": 4}, "did you mean prefill-chunk-tokens"),
        ({"zzz": 4}, "known: profile, context-window"),
        ({"kv-quant": "q5"}, "kv-quant cannot be 'q5': expected off, q8 or q4"),
        ({"prefill-chunk-tokens": 0}, "cannot be '0': expected a whole number"),
        ({"profile": "--allow-swap"}, "profile cannot be '--allow-swap'"),
        ({"depth": 2}, "depth is set by --draft-tokens"),
        ({"reasoning": "off"}, "set by the model's own chat template"),
        ({"ssd_session_cache": "on"}, "set by bench: a cached prompt"),
    ],
)
def test_wrong_options(folder: Path, options: dict[str, OptionValue], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        words(folder, **options)


@pytest.mark.parametrize(
    ("speculation", "said"),
    [
        (Speculation("ngram", 2), "cannot speculate by 'ngram', only by 'mtp'"),
        (Speculation("mtp", 2, Path("draft")), "the model's own heads: leave --draft-model away"),
        (Speculation("mtp", 2, synthetic=SyntheticAcceptance(2.0)), "no synthetic acceptance"),
    ],
)
def test_other_ways_of_speculating(folder: Path, speculation: Speculation, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        words(folder, speculation)


def test_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs a model folder"):
        words(None)
    with pytest.raises(UsageError, match="there is no such folder"):
        words(tmp_path / "none")
    with pytest.raises(UsageError, match=r"with a config\.json"):
        words(tmp_path)


def test_what_plain_decoding_looks_at() -> None:
    assert applies("draft-temperature", "mtp")
    assert not applies("draft-temperature", "none")
    assert not applies("verify-core", "none")
    assert applies("prefill-chunk-tokens", "none")
