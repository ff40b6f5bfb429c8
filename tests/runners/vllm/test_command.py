"""Which words start a vLLM, by whatever name it is given."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.base.command import Command
from runners.base.contract import Missing
from runners.vllm import command
from runners.vllm.command import command_of


def program(path: Path, text: str = "#!/bin/sh\n") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("#!/e/bin/python\nimport x\n", "/e/bin/python"),
        ("#!/e/bin/python3.12\n", "/e/bin/python3.12"),
        ("#!/bin/sh\n'''exec' /a/long/path/python3 \"$0\" \"$@\"\n' '''\n", "/a/long/path/python3"),
        ("#!/bin/sh\n'''exec' \"/with a/no\" x\n", None),
        ("#!/bin/sh\n'''exec' '/u v/bin/python' \"$0\" \"$@\"\n' '''\n", "/u v/bin/python"),
        (
            '#!/bin/sh\n\'\'\'exec\' "$(dirname -- "$(realpath -- "$0")")"/\'python\' "$0"\n',
            None,
        ),
        ("#!/bin/sh\n'''exec' 'unfinished\n", None),
        ("#!/usr/bin/python3 -s\n", "/usr/bin/python3"),
        ("#!/usr/bin/env python3\n", None),
        ("#!/bin/sh\nexec docker run vllm\n", None),
        ("", None),
    ],
)
def test_a_script_and_its_python(tmp_path: Path, text: str, python: str | None) -> None:
    path = program(tmp_path / "vllm", text)
    found = command_of(path)
    assert found == Command((path, "serve"), python)
    assert not found.is_python


def test_pips_script_of_a_path_with_spaces(tmp_path: Path) -> None:
    """As pip writes it where the path is too long for '#!', or has a space in it."""
    path = program(
        tmp_path / "vllm", "#!/bin/sh\n'''exec' \"/a b/bin/python\" \"$0\" \"$@\"\n' '''\n"
    )
    assert command_of(path) == Command((path, "serve"), "/a b/bin/python")


def test_a_python(tmp_path: Path) -> None:
    for name in ("python", "python3", "python3.12"):
        path = program(tmp_path / name)
        found = command_of(path)
        assert found == Command((path,), path)
        assert found.is_python


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """The Python of a virtual environment is one: what it points to is another environment."""
    link = tmp_path / "bin" / "python"
    link.parent.mkdir()
    link.symlink_to(sys.executable)
    assert command_of(str(link)) == Command((str(link),), str(link))


def test_whole_commands(tmp_path: Path) -> None:
    python = program(tmp_path / "a b" / "python")
    other = program(tmp_path / "run")
    assert command_of(f"'{python}' -m vllm.entrypoints.cli.main serve") == Command(
        (python, "-m", "vllm.entrypoints.cli.main", "serve"), python
    )
    assert command_of(f"{other} vllm serve") == Command((other, "vllm", "serve"), None)
    assert command_of(f"'{python}'") == Command((python,), python)
    assert command_of(f" {other} ") == Command((other, "serve"), None)


def test_a_path_with_a_space_needs_no_quotes(tmp_path: Path) -> None:
    path = program(tmp_path / "a b" / "vllm")
    assert command_of(path) == Command((path, "serve"), None)


def test_home_and_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(tmp_path / "vllm")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert command_of("~/vllm") == command_of("./vllm") == Command((path, "serve"), None)


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("{folder}", "is a folder"),
        ("{folder}/none", "none' is no program that can be run"),
        ("{folder}/text", "text' is no program"),
        ("no-such-program serve", "'no-such-program' is no program"),
        ("'unfinished", "is no command: No closing quotation"),
        ("", "'' is no program"),
        ("  ", "'  ' is no program"),
    ],
)
def test_what_is_none(tmp_path: Path, named: str, words: str) -> None:
    (tmp_path / "text").write_text("not to be executed")
    found = command_of(named.format(folder=tmp_path))
    assert isinstance(found, Missing)
    assert words in found.reason
    assert "vllm" in found.advice


def test_what_is_found_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(command, "environment_python", lambda name: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    nothing = command_of(None)
    assert isinstance(nothing, Missing)
    assert "no vllm on PATH" in nothing.reason
    assert "--vllm" in nothing.advice
    made = tmp_path / "made" / "python"
    monkeypatch.setattr(command, "environment_python", lambda name: made)
    assert command_of(None) == Command((str(made),), str(made))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert command_of(None) == Command((sys.executable,), sys.executable)
    path = program(tmp_path / "vllm")
    assert command_of(None) == Command((path, "serve"), None)


@given(st.text(max_size=60).filter(lambda text: "/" not in text))
@settings(max_examples=60)
def test_any_text_is_a_command_or_says_why_not(text: str) -> None:
    found = command_of(text)
    assert isinstance(found, Command) or found.reason
