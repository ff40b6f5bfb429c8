"""The sweep file and the flags as one validated model: what is to be measured."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from harness.suite_values import (
    argument,
    known_method,
    listed,
    numbers,
    parse_synthetic,
    prompt_count,
    shown,
)
from runners.base.speculation import PLAIN, SyntheticAcceptance

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""Of a suite and of a build: it becomes part of the names of files."""
MOST_DRAFT_TOKENS = 512
MOST_LINES = 3
"""Of one message: who mistook one key needs to read no more."""

Location = tuple[int | str, ...]
"""Where in the settings: ('arm', 0, 'draft_tokens', 2)."""


class SuiteError(Exception):
    """A suite file or a flag is wrong; the text names the place, the fault and what is allowed."""


Value = bool | int | float | str
Values = Value | tuple[Value, ...]
Arguments = dict[str, Annotated[Values, BeforeValidator(argument)]]
DraftTokens = Annotated[
    tuple[Annotated[int, Field(ge=1, le=MOST_DRAFT_TOKENS)], ...], BeforeValidator(numbers)
]
MaxTokens = Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(numbers)]
Words = Annotated[tuple[str, ...], BeforeValidator(listed)]
BuildName = Annotated[str, Field(pattern=NAME)]
Synthetic = Annotated[tuple[SyntheticAcceptance, ...], BeforeValidator(parse_synthetic)]
PromptCount = Annotated[int | Literal["all"], BeforeValidator(prompt_count)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RunnerSpec(_Strict):
    """One `[runners.NAME]` of a suite file: a build of a runner, for arms to name."""

    runner: str
    """The kind: 'llama.cpp', …"""
    program: str = Field(min_length=1)
    """The binary or command: a path, or a name to be found on PATH."""


class ArmSpec(_Strict):
    """One `[[arm]]` of a suite file: settings of its own, on top of the suite's."""

    method: str = PLAIN
    draft_tokens: DraftTokens = ()
    draft_model: Path | None = None
    runner: str | None = None
    model: Path | None = None
    args: Arguments = {}
    synthetic_acceptance: Synthetic = ()

    _check_method = field_validator("method")(known_method)

    @model_validator(mode="after")
    def _check_draft_tokens(self) -> ArmSpec:
        if self.method == PLAIN and self.draft_tokens:
            raise ValueError("an arm with draft_tokens needs a method")
        if self.method == PLAIN and self.synthetic_acceptance:
            raise ValueError("an arm with synthetic_acceptance needs a method")
        return self


class Suite(_Strict):
    """Everything a sweep needs. Relative paths of a suite file are relative to the file."""

    name: str = Field(default="sweep", pattern=NAME)
    runner: str = "llama.cpp"
    runners: dict[BuildName, RunnerSpec] = {}
    """Builds by names of their own; 'llama.cpp' here takes the place of the one found."""
    model: Path | None = None
    draft_model: Path | None = None
    methods: Words = ()
    draft_tokens: DraftTokens = (2, 4, 8)
    synthetic_acceptance: Synthetic = ()
    """Where given, `methods` are measured with drafts accepted by draw, not by the target."""
    workloads: Words = ("coding", "prose")
    prompts: PromptCount = 4
    """How many prompts of each workload, from its beginning."""
    max_tokens: MaxTokens = (256,)
    repeats: int = Field(default=3, ge=1, le=1000)
    temperature: float = Field(default=0.0, ge=0, le=5, allow_inf_nan=False)
    seed: int = Field(default=1, ge=0, lt=2**31)
    args: Arguments = {}
    arm: tuple[ArmSpec, ...] = ()
    request_timeout_s: float = Field(default=300.0, gt=0, allow_inf_nan=False)
    start_timeout_s: float = Field(default=120.0, gt=0, allow_inf_nan=False)
    keep_text: bool = True

    @field_validator("methods")
    @classmethod
    def _check_methods(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(known_method(method) for method in value)

    @field_validator("workloads", "max_tokens", "draft_tokens")
    @classmethod
    def _not_empty(cls, value: tuple[object, ...]) -> tuple[object, ...]:
        if not value:
            raise ValueError("needs at least one value")
        return value


def make_suite(
    settings: Mapping[str, Any], where: str = "", flagged: Collection[Location] = ()
) -> Suite:
    """Validate settings that came from flags, a file, or both.

    `where` names the file; without one, all settings came from flags. With one, those at the
    locations `flagged` did, such as ('repeats',) or ('args', 'threads').

    Raises:
        SuiteError: what is wrong, a line for each key, with what is allowed.
    """
    try:
        return Suite.model_validate(settings)
    except ValidationError as error:
        lines: dict[str, str] = {}
        for fault in error.errors():
            at = fault["loc"]
            from_flag = not where or at[:1] in flagged or at[:2] in flagged
            place = _flag(at) if from_flag else f"{where}: {place_of(at)}"
            line = f"{place}: {_words(fault['type'], fault)}"
            lines.setdefault(place, " ".join(line.splitlines()))
        told = list(lines.values())
        if len(told) > MOST_LINES:
            more = len(told) - (MOST_LINES - 1)
            told[MOST_LINES - 1 :] = [f"and {more} more keys are wrong"]
        raise SuiteError("\n".join(told)) from None


def place_of(at: Location) -> str:
    """('arm', 0, 'draft_tokens', 2) -> '[[arm]] number 1, draft_tokens'."""
    if at[0] == "runners" and len(at) > 1:
        key = at[2] if len(at) > 2 and at[2] != "[key]" else ""
        return f"[runners.{shown_name(str(at[1]))}]{f', {key}' if key else ''}"
    if at[0] == "arm" and len(at) > 1 and isinstance(at[1], int):
        rest = f", {place_of(at[2:])}" if len(at) > 2 else ""
        return f"[[arm]] number {at[1] + 1}{rest}"
    return f"args, {at[1]}" if at[0] == "args" and len(at) > 1 else str(at[0])


def shown_name(name: str) -> str:
    """A name of the user's for a message of one line: as it is, but for what is none."""
    return name if re.fullmatch(NAME, name) else shown(name)


_FLAGS = {
    "runners": "--llama-server",
    "methods": "--method",
    "workloads": "--workload",
    "args": "--runner-arg",
    "request_timeout_s": "--request-timeout",
    "start_timeout_s": "--start-timeout",
    "keep_text": "--no-text",
}


def shown_flag(name: str) -> str:
    """'llama_server' -> '--llama-server'."""
    return f"--{name.replace('_', '-')}"


def _flag(at: Location) -> str:
    """('args', 'threads') -> '--runner-arg threads'."""
    name = str(at[0])
    if at[:2] == ("runners", "mlx"):
        return "--mlx"
    flag = _FLAGS.get(name, shown_flag(name))
    return f"{flag} {at[1]}" if name == "args" and len(at) > 1 else flag


def _words(kind: str, fault: Any) -> str:
    if kind == "extra_forbidden":
        tables: Mapping[object, type[BaseModel]] = {"arm": ArmSpec, "runners": RunnerSpec}
        inside = len(fault["loc"]) > 1
        known = (tables.get(fault["loc"][0], Suite) if inside else Suite).model_fields
        key = str(fault["loc"][-1])
        near = difflib.get_close_matches(key.replace("-", "_"), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        return f"unknown key; {hint}"
    if kind == "value_error":
        return str(fault["ctx"]["error"])
    message = str(fault["msg"])
    message = message[:1].lower() + message[1:]
    return f"{message}, not {shown(fault.get('input'))}"
