"""The sweep file and the flags as one validated model: what is to be measured."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from runners.base.speculation import METHODS, PLAIN
from workloads.prompts import names as packaged

MOST_DRAFT_TOKENS = 512


class SuiteError(Exception):
    """A suite file or a flag is wrong; the text names the place, the fault and what is allowed."""


def parse_numbers(text: str) -> tuple[int, ...]:
    """'1-4,6,8' -> (1, 2, 3, 4, 6, 8), in order and each once.

    Raises:
        ValueError: not such a list, or a range that runs backwards or is absurdly long.
    """
    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?", part)
        if match is None:
            raise ValueError(f"{text!r} is no list of numbers such as 4 or 1-4,6,8")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"the range {part.strip()!r} runs backwards")
        if last - first > 10_000:
            raise ValueError(f"the range {part.strip()!r} is too long")
        numbers.extend(range(first, last + 1))
    return tuple(dict.fromkeys(numbers))


def _numbers(value: object) -> object:
    """A number, a list of numbers or a text like '1-4,6' as a tuple; pydantic judges the rest."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return (value,)
    if isinstance(value, str):
        return parse_numbers(value)
    if isinstance(value, list | tuple):
        return tuple(dict.fromkeys(value))
    return value


def _listed(value: object) -> object:
    """One word, or words with commas between, as a tuple."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(dict.fromkeys(value)) if isinstance(value, list | tuple) else value


def _prompt_count(value: object) -> object:
    if value == "all" or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise ValueError(f"expected a number from 1 on, or 'all', not {value!r}")


def _known_method(value: str) -> str:
    if value not in METHODS:
        near = difflib.get_close_matches(value, METHODS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"unknown method {value!r}; {hint}known: {', '.join(METHODS)}")
    return value


Value = bool | int | float | str
Values = Value | tuple[Value, ...]
DraftTokens = Annotated[
    tuple[Annotated[int, Field(ge=1, le=MOST_DRAFT_TOKENS)], ...], BeforeValidator(_numbers)
]
MaxTokens = Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(_numbers)]
Words = Annotated[tuple[str, ...], BeforeValidator(_listed)]
PromptCount = Annotated[int | Literal["all"], BeforeValidator(_prompt_count)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArmSpec(_Strict):
    """One `[[arm]]` of a suite file: settings of its own, on top of the suite's."""

    method: str = PLAIN
    draft_tokens: DraftTokens = ()
    draft_model: Path | None = None
    runner: str | None = None
    model: Path | None = None
    args: dict[str, Values] = {}

    _check_method = field_validator("method")(_known_method)


class Suite(_Strict):
    """Everything a sweep needs. Relative paths of a suite file are relative to the file."""

    name: str = Field(default="sweep", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    runner: str = "llama.cpp"
    model: Path | None = None
    draft_model: Path | None = None
    methods: Words = ()
    draft_tokens: DraftTokens = (2, 4, 8)
    workloads: Words = ("coding", "prose")
    prompts: PromptCount = 4
    """How many prompts of each workload, from its beginning."""
    max_tokens: MaxTokens = (256,)
    repeats: int = Field(default=3, ge=1, le=1000)
    temperature: float = Field(default=0.0, ge=0, le=5, allow_inf_nan=False)
    seed: int = Field(default=1, ge=0, lt=2**31)
    args: dict[str, Values] = {}
    arm: tuple[ArmSpec, ...] = ()
    request_timeout_s: float = Field(default=300.0, gt=0, allow_inf_nan=False)
    start_timeout_s: float = Field(default=120.0, gt=0, allow_inf_nan=False)
    keep_text: bool = True

    @field_validator("methods")
    @classmethod
    def _check_methods(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_known_method(method) for method in value)

    @field_validator("workloads", "max_tokens", "draft_tokens")
    @classmethod
    def _not_empty(cls, value: tuple[object, ...]) -> tuple[object, ...]:
        if not value:
            raise ValueError("needs at least one value")
        return value


def _anchored(folder: Path, data: Mapping[str, Any]) -> dict[str, Any]:
    """The file's tables with its paths made absolute: they are relative to the file."""
    moved = dict(data)
    for key in ("model", "draft_model"):
        if isinstance(moved.get(key), str):
            moved[key] = str(folder / Path(moved[key]).expanduser())
    if isinstance(moved.get("arm"), list):
        moved["arm"] = [
            _anchored(folder, arm) if isinstance(arm, dict) else arm for arm in moved["arm"]
        ]
    if isinstance(moved.get("workloads"), list | str):
        moved["workloads"] = anchored_workloads(folder, _listed(moved["workloads"]))
    return moved


def anchored_workloads(folder: Path, names: object) -> object:
    """Names of packaged workloads as they are, names of files in `folder` as absolute paths."""
    if not isinstance(names, tuple):
        return names
    return tuple(
        str((folder / name).absolute())
        if isinstance(name, str) and name not in packaged() and (folder / name).is_file()
        else name
        for name in names
    )


def read_suite(path: Path) -> dict[str, Any]:
    """The settings of a suite file, not yet validated; `make_suite` does that.

    Raises:
        SuiteError: missing, unreadable, or no TOML; names the line.
    """
    try:
        with path.open("rb") as file:
            data = tomllib.load(file)
    except FileNotFoundError:
        raise SuiteError(f"there is no suite file {path}") from None
    except OSError as error:
        raise SuiteError(f"cannot read the suite file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SuiteError(f"{path} is no TOML file: it is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise SuiteError(f"{path} is no valid TOML: {error}") from None
    return _anchored(path.parent.absolute(), data)


def make_suite(settings: Mapping[str, Any], where: str = "") -> Suite:
    """Validate settings that came from flags, a file, or both; `where` names the file.

    Raises:
        SuiteError: every fault on a line of its own, with its key and what is allowed.
    """
    try:
        return Suite.model_validate(settings)
    except ValidationError as error:
        prefix = f"{where}: " if where else ""
        lines = []
        for fault in error.errors():
            place = _place(fault["loc"]) if where else _flag(fault["loc"])
            line = f"{prefix}{place}: {_words(fault['type'], fault)}"
            if line not in lines:
                lines.append(line)
        raise SuiteError("\n".join(lines[:5])) from None


def _place(location: tuple[int | str, ...]) -> str:
    """('arm', 0, 'draft_tokens', 2) -> 'arm 1, draft_tokens'."""
    if location[0] == "arm" and len(location) > 1 and isinstance(location[1], int):
        rest = f", {location[2]}" if len(location) > 2 else ""
        return f"[[arm]] number {location[1] + 1}{rest}"
    return str(location[0])


_FLAGS = {
    "methods": "--method",
    "workloads": "--workload",
    "args": "--runner-arg",
    "request_timeout_s": "--request-timeout",
    "start_timeout_s": "--start-timeout",
}


def _flag(location: tuple[int | str, ...]) -> str:
    """Without a file, a setting came from its flag."""
    name = str(location[0])
    return _FLAGS.get(name, f"--{name.replace('_', '-')}")


def _words(kind: str, fault: Any) -> str:
    given = fault.get("input")
    if kind == "extra_forbidden":
        inside_arm = len(fault["loc"]) > 1
        known = ArmSpec.model_fields if inside_arm else Suite.model_fields
        key = str(fault["loc"][-1])
        near = difflib.get_close_matches(key.replace("-", "_"), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        return f"unknown key; {hint}"
    if kind == "value_error":
        return str(fault["ctx"]["error"])
    message = str(fault["msg"])
    message = message[:1].lower() + message[1:]
    return f"{message}, not {given!r}"
