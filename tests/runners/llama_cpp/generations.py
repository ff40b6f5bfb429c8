"""Help texts of four generations of llama-server: their real flags and layout, in our own words.

`march-2026` has the flags of the llama.cpp in llama-cpp-python 0.3.19 (commit c0159f9); the others
those of the builds that they are named after.
"""

from __future__ import annotations

from pathlib import Path

from runners.llama_cpp.arguments import Dialect
from runners.llama_cpp.help import parse_help

FOLDER = Path(__file__).with_name("help")
GENERATIONS = ("march-2026", "b9093", "b9294", "b11434")


def help_text(generation: str) -> str:
    return (FOLDER / f"{generation}.txt").read_text(encoding="utf-8")


def dialect(generation: str) -> Dialect:
    return Dialect(generation, parse_help(help_text(generation)))
