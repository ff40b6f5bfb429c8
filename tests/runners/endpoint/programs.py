"""Programs of servers as their help describes them, and folders of models for them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from runners.endpoint.launched import Build
from runners.sglang.build import parse_help as sglang_help
from runners.tensorrt_llm.build import parse_help as tensorrt_llm_help
from runners.tgi.build import parse_help as tgi_help
from tests.runners.endpoint import fake_program

RUNNERS = Path(__file__).parent.parent


def help_text(package: str, version: str) -> str:
    """The flags of a version's `--help`, without what they do.

    SGLang's were printed by its own parser, out of the package's declarations of its flags; those
    of TGI and TensorRT-LLM were put into the form in which clap and click print, by the names in
    their sources.
    """
    return (RUNNERS / package / "help" / f"{version}.txt").read_text(encoding="utf-8")


def sglang(version: str = "0.5.23") -> Build:
    return Build(("/e/sglang", "serve"), version, sglang_help(help_text("sglang", "0.5.23")))


def tgi() -> Build:
    return Build(("/e/tgi",), "3.3.7", tgi_help(help_text("tgi", "3.3.7")))


def tensorrt_llm(version: str = "1.3.0") -> Build:
    name = "1.1" if version.startswith("1.1") else "1.3"
    text = help_text("tensorrt_llm", name)
    return Build(("/e/trtllm-serve", "serve"), version, tensorrt_llm_help(text))


def install(kind: str, script: Path) -> str:
    """Writes a program that runs fake_program.py; its path."""
    script.write_text(
        f"#!/bin/sh\nexec '{sys.executable}' '{fake_program.__file__}' {kind} \"$@\"\n"
    )
    script.chmod(0o755)
    return str(script)


def model_folder(path: Path, **config: object) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return path
