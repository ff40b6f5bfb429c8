"""What a llama-server says of itself, as text: its `--help`, its `--version`, its devices."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from runners.base.contract import UsageError

LARGEST_HELP = 1 << 20
"""Characters; the help of today's build has 60 thousand."""
REMOVED = "the argument has been removed"
"""How the description of a flag begins that is only listed to say what replaced it."""
CORE = {"--model", "--ctx-size", "--host", "--port"}
"""Flags that every llama-server has, and no other program of llama.cpp all of them."""

_SPELLING = r"--?[A-Za-z][\w.-]*"
_FLAG_LINE = re.compile(rf"({_SPELLING}(?:,\s+{_SPELLING})*)(?: (\S.*?))?(?:\s{{2,}}(.*))?$")


@dataclass(frozen=True)
class Flag:
    """One flag of a llama-server."""

    spellings: tuple[str, ...]
    """With their dashes, in the help's order; those that switch off are not among them."""
    negative: tuple[str, ...] = ()
    """Spellings that switch it off, e.g. '--no-cache-prompt'."""
    value: str = ""
    """How the help calls its value, e.g. 'N' or '[on|off|auto]'; '' for a switch."""

    @property
    def is_switch(self) -> bool:
        return not self.value

    @property
    def values(self) -> int:
        """How many arguments it takes: '<tensor name pattern>=<buffer type>,...' is one."""
        return len(re.sub(r"<[^<>]*>", "x", self.value).split())

    @property
    def name(self) -> str:
        """Its first long spelling without dashes; of a flag with short ones only, the first."""
        return _name(self.spellings)

    def switches_off(self, spelling: str) -> bool:
        """Whether a spelling without dashes is one of those that switch it off."""
        return spelling in {other.lstrip("-") for other in self.negative}


@dataclass(frozen=True)
class Help:
    """The flags that a build takes."""

    flags: tuple[Flag, ...]

    def flag(self, spelling: str) -> Flag | None:
        """The flag of a spelling without its dashes: 'ngl', 'cache-prompt', 'no-cache-prompt'."""
        return self.index.get(spelling)

    @cached_property
    def index(self) -> dict[str, Flag]:
        """Spelling without dashes -> its flag."""
        return {
            spelling.lstrip("-"): flag
            for flag in reversed(self.flags)
            for spelling in (*flag.negative, *flag.spellings)
        }

    @property
    def spec_types(self) -> tuple[str, ...]:
        """What `--spec-type` can be, without 'none'; empty where there is no such flag."""
        return tuple(kind for kind in self._types if kind != "none")

    @property
    def chains_types(self) -> bool:
        """Whether `--spec-type` takes several types: they are listed with commas since then."""
        return "," in self._type_text

    @property
    def _types(self) -> list[str]:
        return [kind for kind in re.split(r"[|,\[\]{}\s]+", self._type_text) if kind]

    @property
    def _type_text(self) -> str:
        flag = self.flag("spec-type")
        return "" if flag is None else flag.value


def parse_help(text: str) -> Help:
    """The flags that `llama-server --help` lists, but for those that were removed.

    Every flag begins a line: spellings with commas between, one space and the name of its value if
    it takes one, then the description, in column 40 or on the next line.

    Raises:
        UsageError: this is not the help of a llama-server.
    """
    if len(text) > LARGEST_HELP:
        raise UsageError(f"its --help is longer than {LARGEST_HELP >> 20} Mi characters")
    found: list[tuple[Flag, list[str]]] = []
    for line in text.splitlines():
        if (match := _FLAG_LINE.match(line)) is not None:
            spellings, value, description = match.groups()
            flag = _flag(tuple(re.split(r",\s+", spellings)), value or "")
            found.append((flag, [description or ""]))
        elif found and line.startswith(" "):
            found[-1][1].append(line.strip())
    live = tuple(flag for flag, said in found if not " ".join(said).strip().startswith(REMOVED))
    if not {spelling for flag in live for spelling in flag.spellings} >= CORE:
        raise UsageError("its --help lists none of llama-server's flags: this is no llama-server")
    return Help(live)


def _flag(spellings: tuple[str, ...], value: str) -> Flag:
    """Spellings that switch off come last: after the last long one before the first '--no-…'."""
    for at, spelling in enumerate(spellings):
        positive = f"--{spelling.removeprefix('--no-')}"
        if not value and spelling.startswith("--no-") and positive in spellings[:at]:
            first = at
            while first > 1 and not _switches_on(spellings[first - 1]):
                first -= 1
            return Flag(spellings[:first], spellings[first:], value)
    return Flag(spellings, (), value)


def _switches_on(spelling: str) -> bool:
    return spelling.startswith("--") and not spelling.startswith("--no-")


def _name(spellings: tuple[str, ...]) -> str:
    long = [spelling for spelling in spellings if spelling.startswith("--")]
    return (long or list(spellings))[0].lstrip("-")


def parse_version(text: str) -> str | None:
    """'b9093 (4e2a1f0)' of 'version: 9093 (4e2a1f0)'; None where no such line is to be found.

    A build that knows no number of its own says what it does know.
    """
    match = re.search(r"^version:[ \t]*(\S.*)$", text, re.MULTILINE)
    if match is None:
        return None
    said = match[1].strip()[:80]
    number = re.match(r"(\d+) \((\S+)\)", said) or re.search(r"build (\d+), commit (\S+?)\)", said)
    if number is None:
        return said
    if int(number[1]) == 0:  # Built outside of a git checkout.
        return said
    return f"b{number[1]} ({number[2]})"


def parse_devices(text: str) -> tuple[str, ...]:
    """'CUDA0: NVIDIA H100 (81079 MiB, 80500 MiB free)' of what `--list-devices` prints."""
    _, _, listed = text.partition("Available devices:")
    lines = [line.strip() for line in listed.splitlines() if line.startswith("  ")]
    # What is free changes from run to run.
    return tuple(re.sub(r", \d+ MiB free\)", ")", line)[:200] for line in lines if ": " in line)
