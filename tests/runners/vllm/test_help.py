from __future__ import annotations

import argparse
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.base.contract import UsageError
from runners.base.help import Flag
from runners.vllm.help import parse_help
from tests.runners.vllm.builds import help_text


@pytest.mark.parametrize(
    ("name", "flags"),
    [("0.8.5", 138), ("0.10.2", 176), ("0.11.0-all", 184), ("0.32.0-all", 317)],
)
def test_flags_of_each_version(name: str, flags: int) -> None:
    found = parse_help(help_text(name))
    assert len(found.flags) == flags
    assert found.flag("tp") == Flag(
        "tensor-parallel-size", ("tensor-parallel-size", "tp"), None, "TENSOR_PARALLEL_SIZE"
    )
    assert found.flag("enable-prefix-caching") == Flag(
        "enable-prefix-caching", ("enable-prefix-caching",), "--no-enable-prefix-caching", ""
    )
    dtype = found.flag("dtype")
    assert dtype is not None
    assert set(dtype.choices) >= {"auto", "float32"}
    context = found.flag("max-model-len")
    assert context is not None
    assert context.choices == ()
    assert found.has("speculative-config")
    assert not found.has("no-enable-prefix-caching")
    assert not found.has("--dtype")


@pytest.mark.parametrize(
    ("flag", "first"),
    [
        ("generation-config", "0.8.5"),
        ("enable-prompt-tokens-details", "0.8.5"),
        ("disable-uvicorn-access-log", "0.8.5"),
        ("kv-cache-memory-bytes", "0.10.2"),
        # Not in 0.12 either; there by 0.26.
        ("spec-method", "0.32.0-all"),
        ("enable-per-request-metrics", "0.32.0-all"),
        # Not in 0.28; there in 0.29.
        ("per-request-spec-decode-metrics", "0.32.0-all"),
    ],
)
def test_what_older_versions_lack(flag: str, first: str) -> None:
    names = ["0.8.5", "0.10.2", "0.11.0-all", "0.32.0-all"]
    having = [name for name in names if parse_help(help_text(name)).has(flag)]
    assert having == names[names.index(first) :]


def test_methods_that_the_help_lists() -> None:
    flag = parse_help(help_text("0.32.0-all")).flag("spec-method")
    assert flag is not None
    assert {"ngram", "mtp", "eagle3", "draft_model", "suffix"} <= set(flag.choices)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0\xff",
        "usage: ls [OPTION]... [FILE]...\n  -a, --all\n",
        help_text("0.11.0"),  # groups only
        help_text("0.10.2-all"),  # flags with 'all' in their names
    ],
    ids=["empty", "binary", "ls", "groups", "matching"],
)
def test_no_list_of_the_flags(text: str) -> None:
    with pytest.raises(UsageError, match="lists none of a vLLM server's flags"):
        parse_help(text)


def test_the_way_that_later_pythons_print() -> None:
    """Since 3.13 argparse names the value once; written after its source."""
    rest = "".join(f"  --{name} X\n" for name in ("max-model-len", "served-model-name", "host"))
    found = parse_help(f"{rest}  --port PORT, -p PORT  Port\n  --config, -c CONFIG\n")
    assert found.flag("c") == Flag("config", ("config", "c"), None, "CONFIG")
    assert found.flag("p") == Flag("port", ("port", "p"), None, "PORT")


NAMES = st.text(string.ascii_lowercase, min_size=2, max_size=24)


@given(
    st.dictionaries(NAMES, st.sampled_from(["switch", "both", "value", "choices", "several"])),
    st.integers(40, 120),
)
@settings(max_examples=60)
def test_whatever_argparse_prints(flags: dict[str, str], width: int) -> None:
    parser = argparse.ArgumentParser(
        prog="vllm serve",
        add_help=False,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=width),
    )
    group = parser.add_argument_group("Frontend", "Arguments - for the --server.")
    for name in ("max-model-len", "served-model-name", "host", "port"):
        group.add_argument(f"--{name}", help="words " * 20)
    shorts = {name: f"-{name[0]}{at}" for at, name in enumerate(flags)}
    flags = {f"x-{name}": kind for name, kind in flags.items()}
    for (name, kind), short in zip(flags.items(), shorts.values(), strict=True):
        help_ = "does --something, or - where it cannot - nothing. " * 3
        match kind:
            case "switch":
                group.add_argument(f"--{name}", short, action="store_true", help=help_)
            case "both":
                action = argparse.BooleanOptionalAction
                group.add_argument(f"--{name}", short, action=action, help=help_)
            case "value":
                group.add_argument(short, f"--{name}", help=help_)
            case "choices":
                group.add_argument(f"--{name}", short, choices=["a", "b-c"], help=help_)
            case _:
                group.add_argument(f"--{name}", short, nargs="+", help=help_)
    found = parse_help(parser.format_help())
    assert len(found.flags) == len(flags) + 4
    for (name, kind), short in zip(flags.items(), shorts.values(), strict=True):
        flag = found.flag(name)
        assert flag is not None
        assert flag == found.flag(short.lstrip("-"))
        assert flag.name == name
        assert (flag.value == "") == (kind in ("switch", "both"))
        assert flag.negative == (f"--no-{name}" if kind == "both" else None)
        assert flag.choices == (("a", "b-c") if kind == "choices" else ())


@given(st.lists(st.one_of(st.text(max_size=60), st.text("-=[]{},| a", max_size=40))))
@settings(max_examples=60)
def test_any_text_is_read_or_refused(lines: list[str]) -> None:
    core = [f"  --{name} X" for name in ("max-model-len", "served-model-name", "host", "port")]
    for flag in parse_help("\n".join([*core, *lines])).flags:
        assert flag.name
        assert flag.name in flag.spellings
        _ = flag.choices
