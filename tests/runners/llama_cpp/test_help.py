from __future__ import annotations

import contextlib
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.base.contract import UsageError
from runners.llama_cpp.help import (
    LARGEST_HELP,
    Flag,
    parse_devices,
    parse_help,
    parse_version,
)
from tests.runners.llama_cpp.generations import GENERATIONS, help_text


@pytest.mark.parametrize(
    ("generation", "types", "chains"),
    [
        ("march-2026", 5, False),
        ("b9093", 5, False),
        ("b9294", 8, True),
        ("b11434", 10, True),
    ],
)
def test_types_of_each_generation(generation: str, types: int, chains: bool) -> None:
    found = parse_help(help_text(generation))
    assert len(found.spec_types) == types
    assert "none" not in found.spec_types
    assert found.chains_types is chains
    assert ("draft-simple" in found.spec_types) is chains


@pytest.mark.parametrize("generation", GENERATIONS)
def test_flags_of_every_shape(generation: str) -> None:
    found = parse_help(help_text(generation))
    assert found.flag("c") == Flag(("-c", "--ctx-size"), (), "N")
    cache = found.flag("no-cache-prompt")
    assert cache == found.flag("cache-prompt")
    assert cache == Flag(("--cache-prompt",), ("--no-cache-prompt",))
    assert found.flag("nkvo") == Flag(("-kvo", "--kv-offload"), ("-nkvo", "--no-kv-offload"))
    assert found.flag("nr") == Flag(("--repack",), ("-nr", "--no-repack"))
    assert found.flag("no-host") == Flag(("--no-host",))
    assert found.flag("no-mmproj") == Flag(("--mmproj-auto",), ("--no-mmproj", "--no-mmproj-auto"))
    tensor = found.flag("ot")
    assert tensor is not None
    assert (tensor.value, tensor.values) == ("<tensor name pattern>=<buffer type>,...", 1)
    layers = found.flag("control-vector-layer-range")
    assert layers is not None
    assert layers.values == 2
    metrics = found.flag("metrics")
    assert metrics is not None
    assert metrics.is_switch
    assert found.flag("-c") is None
    assert found.flag("nonsense") is None


def test_removed_flags_are_no_flags() -> None:
    assert parse_help(help_text("march-2026")).flag("draft-max") is not None
    for generation in ("b9093", "b9294", "b11434"):
        found = parse_help(help_text(generation))
        assert "removed" in help_text(generation)
        for removed in ("draft-max", "draft", "draft-min", "spec-ngram-size-n"):
            assert found.flag(removed) is None, (generation, removed)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "usage: ls [OPTION]... [FILE]...\n  -a, --all\n",
        "--model FILE\n--ctx-size N\n",
        "\0\xff",
    ],
)
def test_another_program(text: str) -> None:
    with pytest.raises(UsageError, match="no llama-server"):
        parse_help(text)


def test_a_help_without_end() -> None:
    with pytest.raises(UsageError, match="longer than"):
        parse_help("-" * (LARGEST_HELP + 1))


LINES = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="-=,<> []|x" + string.ascii_lowercase, max_size=60),
    st.sampled_from(help_text("b11434").splitlines()),
    st.sampled_from(["--no-no-x, --no-x", "-a, -b, --no-c, --c, --no-c", "--x, --no-x, --no-x"]),
)


@given(st.lists(LINES, max_size=40))
@settings(max_examples=150)
def test_any_text_is_read_or_refused(lines: list[str]) -> None:
    with contextlib.suppress(UsageError):
        found = parse_help("\n".join(lines))
        for flag in found.flags:
            assert flag.spellings
            assert flag.name
        for spelling, flag in found.index.items():
            assert any(spelling == word.lstrip("-") for word in (*flag.spellings, *flag.negative))


NAMES = st.from_regex(r"[a-z]{2,8}(-[a-z]{1,6}){0,2}", fullmatch=True).filter(
    lambda name: not name.startswith("no-")
)


@given(st.lists(NAMES, min_size=1, max_size=4, unique=True), st.booleans(), st.text(max_size=40))
@settings(max_examples=100)
def test_what_is_written_in_the_real_layout_is_read_back(
    names: list[str], switch: bool, description: str
) -> None:
    core = "--model FNAME\n--ctx-size N\n--host HOST\n--port PORT\n"
    positive = [f"--{name}" for name in names]
    negative = [f"--no-{name}" for name in names] if switch else []
    left = ", ".join([*positive, *negative]) + ("" if switch else " N")
    gap = "\n" + " " * 40 if len(left) > 37 else " " * (40 - len(left))
    said = " ".join(description.split())
    flag = parse_help(f"{left}{gap}{said}\n{core}").flags[0]
    assert flag == Flag(tuple(positive), tuple(negative), "" if switch else "N")


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("version: 9093 (4e2a1f0)\nbuilt with GNU 12 for Linux\n", "b9093 (4e2a1f0)"),
        ("ggml_cuda_init: found 1\nversion: 0.6.0 (build 11434, commit 3fa9)\n", "b11434 (3fa9)"),
        ("version: 0.6.0-dev (build 0, commit unknown)", "0.6.0-dev (build 0, commit unknown)"),
        ("version: 0 (unknown)", "0 (unknown)"),
        ("nothing of the kind", None),
        ("version:\nbuilt", None),
    ],
)
def test_version(said: str, version: str | None) -> None:
    assert parse_version(said) == version


def test_devices() -> None:
    said = (
        "load_backend: loaded CUDA\nAvailable devices:\n"
        "  CUDA0: A card: the big one (81079 MiB, 80500 MiB free)\n"
        "  Vulkan0: B (1 MiB, 1 MiB free)\n"
    )
    assert parse_devices(said) == (
        "CUDA0: A card: the big one (81079 MiB)",
        "Vulkan0: B (1 MiB)",
    )
    assert parse_devices("Available devices:\n  (none)\n") == ()
    assert parse_devices("") == ()
