"""The flags that a program's `--help` lists, as argparse, click or clap print them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

from runners.base.contract import UsageError

# argparse and click begin a flag's line with two spaces; clap with two, or six where the flag has
# no short spelling. What stands further to the right is what the flags do.
_LINE = re.compile(r"(?: {2}| {6})(-\S.*?)(?:\s{2,}.*)?$")


@dataclass(frozen=True)
class Flag:
    """One flag: `name` is its first long spelling, without dashes."""

    name: str
    spellings: tuple[str, ...]
    """All of them without dashes, those that switch it off not among them."""
    negative: str | None
    """The spelling that switches it off, with its dashes."""
    value: str
    """How the help calls its value, such as 'N' or '{a,b}'; '' for a switch."""

    @property
    def choices(self) -> tuple[str, ...]:
        """What the value can be, where the help lists it."""
        listed = re.fullmatch(r"\{(.*)\}|\[(.*)\]", self.value)
        parts = re.split(r"[,|]", (listed[1] or listed[2] or "")) if listed is not None else ()
        if len(parts) < 2:
            return ()
        return tuple(choice for part in parts if (choice := part.strip(" '\"")))


@dataclass(frozen=True)
class Help:
    """The flags that a build takes."""

    flags: tuple[Flag, ...]

    def flag(self, spelling: str) -> Flag | None:
        """The flag of a spelling without its dashes."""
        return self._index.get(spelling)

    def has(self, spelling: str) -> bool:
        return spelling in self._index

    @cached_property
    def _index(self) -> Mapping[str, Flag]:
        return {text: flag for flag in reversed(self.flags) for text in flag.spellings}


def parse_flags(text: str, *, core: Collection[str], whose: str) -> Help:
    """The flags of a `--help`.

    argparse repeats the value after every spelling ('--config CONFIG, -c CONFIG'), the others
    write it once. `core` are names that every version has.

    Raises:
        UsageError: this is not the help of `whose` server.
    """
    found = [_flag(match[1]) for line in text.splitlines() if (match := _LINE.match(line))]
    flags = tuple(flag for flag in found if flag is not None)
    if not {flag.name for flag in flags} >= set(core):
        raise UsageError(f"its --help lists none of a {whose} server's flags")
    return Help(flags)


def _flag(text: str) -> Flag | None:
    parts = [part.split(" ", 1) for part in re.split(r", (?=-)", text)]
    spellings = [part[0] for part in parts]
    values = [part[1].strip() for part in parts if len(part) > 1]
    long = [spelling for spelling in spellings if spelling.startswith("--")]
    if not long:
        return None
    off = [s for s in long if s.startswith("--no-") and f"--{s.removeprefix('--no-')}" in long]
    kept = [spelling.lstrip("-") for spelling in (*long, *spellings) if spelling not in off]
    if not kept:
        return None
    return Flag(kept[0], tuple(dict.fromkeys(kept)), off[0] if off else None, (values or [""])[0])
