"""The sweep file and the flags as one validated model: what is to be measured."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from harness.packagings import TAGS, ModelSetting, Packagings
from harness.suite_values import (
    argument,
    bandwidth,
    check_url,
    duration,
    is_url,
    known_method,
    listed,
    named_once,
    numbers,
    parse_synthetic,
    prompt_count,
    share,
    shown,
    variable_name,
    without_keys,
)
from harness.tuning_goal import TuningGoal
from runners.base.speculation import PLAIN, SyntheticAcceptance
from runners.base.spelling import nearest

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""Of a suite and of a build: it becomes part of the names of files."""
ENDPOINT = "endpoint"
"""The runner that is attached to any server by its URL."""
BASELINE, CANDIDATE = "baseline", "candidate"
"""The names of two builds of which one is held against the other."""
MOST_DRAFT_TOKENS = 512
LEAST_TO_JUDGE = 3
"""Rounds before which nobody can say how much rounds differ."""
MOST_FOR_PRECISION = 30
"""Ten times the rounds of a sweep that is not told: intervals are then a third as wide."""
MOST_FOR_THRESHOLD = 40
MOST_FOR_TUNING = 12
"""After so many rounds what cannot be told apart is not worth telling apart."""
MOST_LINES = 3
"""Of one message: who mistook one key needs to read no more."""

Location = tuple[int | str, ...]
"""Where in the settings: ('arm', 0, 'draft_tokens', 2)."""


class SuiteError(Exception):
    """A suite file or a flag is wrong; the text names the place, the fault and what is allowed."""


Value = bool | int | float | str
Values = Value | tuple[Value, ...]
Arguments = Annotated[
    dict[str, Annotated[Values, BeforeValidator(argument)]], AfterValidator(without_keys)
]
DraftTokens = Annotated[
    tuple[Annotated[int, Field(ge=1, le=MOST_DRAFT_TOKENS)], ...], BeforeValidator(numbers)
]
MaxTokens = Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(numbers)]
Words = Annotated[tuple[str, ...], BeforeValidator(listed)]
RunnerNames = Annotated[tuple[str, ...], BeforeValidator(named_once)]
BuildName = Annotated[str, Field(pattern=NAME)]
Synthetic = Annotated[tuple[SyntheticAcceptance, ...], BeforeValidator(parse_synthetic)]
MemoryBandwidth = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(bandwidth)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False), BeforeValidator(share)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(duration)]
PromptCount = Annotated[int | Literal["all"], BeforeValidator(prompt_count)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RunnerSpec(_Strict):
    """One `[runners.NAME]` of a suite file: a build of a runner, for arms to name."""

    runner: str
    """The kind: 'llama.cpp', … In a suite file it may be left away where NAME is one."""
    program: str | None = Field(default=None, min_length=1)
    """The binary, the Python of an environment or a whole command: a path, or a name to be found
    on PATH; or the URL of a server that already runs, which a file may also give as `url`. None:
    what is found here."""
    api_key_env: str | None = None
    """The name of the environment variable that holds a server's key. The key itself is in no
    file."""
    args: Arguments = {}
    """Options for this runner alone, on top of the suite's."""

    @model_validator(mode="before")
    @classmethod
    def _url_is_the_program(cls, value: object) -> object:
        if not isinstance(value, Mapping) or "url" not in value:
            return value
        if "program" in value:
            raise ValueError("url and program are one thing here: give one of them")
        return {("program" if key == "url" else key): given for key, given in value.items()}

    @field_validator("api_key_env", mode="before")
    @classmethod
    def _check_api_key_env(cls, value: object) -> object:
        return None if value is None else variable_name(value)

    @field_validator("program")
    @classmethod
    def _check_program(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and (info.data.get("runner") == ENDPOINT or is_url(value)):
            check_url(value)
        return value


class ArmSpec(_Strict):
    """One `[[arm]]` of a suite file: settings of its own, on top of the suite's."""

    method: str = PLAIN
    draft_tokens: DraftTokens = ()
    draft_model: ModelSetting | None = None
    runner: RunnerNames = ()
    """Those of the suite, if none is named."""
    model: ModelSetting | None = None
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
    runner: RunnerNames = ("llama.cpp",)
    """An arm that names none exists once for each of these; the first is what the others are set
    beside."""
    runners: dict[BuildName, RunnerSpec] = {}
    """Builds by names of their own; 'llama.cpp' here takes the place of the one found."""
    model: ModelSetting | None = None
    draft_model: ModelSetting | None = None
    methods: Words = ()
    draft_tokens: DraftTokens = (2, 4, 8)
    synthetic_acceptance: Synthetic = ()
    """Where given, `methods` are measured with drafts accepted by draw, not by the target."""
    workloads: Words = ("coding", "prose")
    prompts: PromptCount = 4
    """How many prompts of each workload, from its beginning."""
    max_tokens: MaxTokens = (256,)
    repeats: int = Field(default=3, ge=1, le=1000)
    """Rounds; the least of them where `precision` or `threshold` says how long to go on."""
    precision: Share | None = None
    """Rounds go on until every interval reaches so far to each side, as a share of its value."""
    threshold: Share | None = None
    """Rounds go on until a loss of the candidate of twice this would be found. Of two builds that
    are named baseline and candidate."""
    max_rounds: int | None = Field(default=None, ge=1, le=1000)
    """The most rounds of a suite that goes on; None: as `most_rounds`."""
    budget: Seconds | None = None
    """The run is a tuning: what was measured decides which arms each round has, until enough is
    known of them or so many seconds are spent."""
    goal: TuningGoal | None = None
    """What a tuning makes faster; None: it is none."""
    temperature: float = Field(default=0.0, ge=0, le=5, allow_inf_nan=False)
    seed: int = Field(default=1, ge=0, lt=2**31)
    args: Arguments = {}
    arm: tuple[ArmSpec, ...] = ()
    bandwidth: MemoryBandwidth | None = None
    """Of the memory that the weights are read from, in bytes per second, in place of what is
    measured or published: ceilings stand on it."""
    request_timeout_s: float = Field(default=300.0, gt=0, allow_inf_nan=False)
    start_timeout_s: float = Field(default=600.0, gt=0, allow_inf_nan=False)
    keep_text: bool = True

    @property
    def has_aim(self) -> bool:
        """Whether something is to be reached by the rounds."""
        return self.precision is not None or self.threshold is not None

    @property
    def goes_on(self) -> bool:
        """Whether what was measured decides how many rounds there are."""
        return self.least_rounds < self.most_rounds

    @property
    def least_rounds(self) -> int:
        """The rounds that are measured in any case, though a budget may end the first of them."""
        if self.budget is not None:
            return 1
        return self.repeats if self.precision is None else max(self.repeats, LEAST_TO_JUDGE)

    @property
    def most_rounds(self) -> int:
        """The rounds after which it ends, whatever was measured."""
        if self.budget is not None:
            return MOST_FOR_TUNING
        if not self.has_aim:
            return self.repeats
        default = MOST_FOR_PRECISION if self.threshold is None else MOST_FOR_THRESHOLD
        return max(self.least_rounds, self.max_rounds or default)

    @model_validator(mode="before")
    @classmethod
    def _tunes_the_decode_rate(cls, value: object) -> object:
        """Unless it says otherwise: tunings of before there was a choice did so too."""
        if not isinstance(value, Mapping) or value.get("budget") is None:
            return value
        return {**value, "goal": TuningGoal.DECODE} if value.get("goal") is None else value

    @field_validator("methods")
    @classmethod
    def _check_methods(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(known_method(method) for method in value)

    @field_validator("runners", mode="before")
    @classmethod
    def _named_like_a_kind(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        return {
            name: {"runner": name, **build} if isinstance(build, Mapping) else build
            for name, build in value.items()
        }

    @field_validator("runner", "workloads", "max_tokens", "draft_tokens")
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
            at = _location(fault)
            from_flag = not where or any(at[:end] in flagged for end in range(1, len(at) + 1))
            place = flag_of(at) if from_flag else f"{where}: {place_of(at)}"
            line = f"{place}: {_words(at, fault)}"
            lines.setdefault(place, " ".join(line.splitlines()))
        told = list(lines.values())
        if len(told) > MOST_LINES:
            more = len(told) - (MOST_LINES - 1)
            told[MOST_LINES - 1 :] = [f"and {more} more keys are wrong"]
        raise SuiteError("\n".join(told)) from None


def _location(fault: Any) -> Location:
    """Where the user wrote what is wrong."""
    return tuple(part for part in fault["loc"] if part not in TAGS and part != "[key]")


def place_of(at: Location) -> str:
    """('arm', 0, 'draft_tokens', 2) -> '[[arm]] number 1, draft_tokens'."""
    rest = f", {place_of(at[2:])}" if len(at) > 2 else ""
    if at[0] == "runners" and len(at) > 1:
        return f"[runners.{shown_name(str(at[1]))}]{rest}"
    if at[0] == "arm" and len(at) > 1 and isinstance(at[1], int):
        return f"[[arm]] number {at[1] + 1}{rest}"
    inside = at[0] in ("args", "model", "draft_model") and len(at) > 1
    return f"{at[0]}, {at[1]}" if inside else str(at[0])


def shown_name(name: str) -> str:
    """A name of the user's for a message of one line: as it is, but for what is none."""
    return name if re.fullmatch(NAME, name) else shown(name)


PROGRAM_FLAGS = {
    "llama_server": "llama.cpp",
    "mlx": "mlx",
    "vllm": "vllm",
    "ollama": "ollama",
    "sglang": "sglang",
    "tgi": "tgi",
    "tensorrt_llm": "tensorrt-llm",
    "url": ENDPOINT,
}
"""Flag that names a program, or where a server is -> the runner that it is for."""

_FLAGS = {
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


def flag_of(at: Location) -> str:
    """('args', 'threads') -> '--runner-arg threads'."""
    name = str(at[0])
    if name == "runners" and len(at) > 1:
        if at[2:3] == ("args",):
            return f"--runner-arg {':'.join(str(part) for part in (at[1], *at[3:4]))}"
        if at[2:3] == ("api_key_env",):
            return shown_flag("api_key_env")
        if at[1] in (BASELINE, CANDIDATE):
            return f"--{at[1]}-runner"
        return next((shown_flag(f) for f, kind in PROGRAM_FLAGS.items() if kind == at[1]), name)
    flag = _FLAGS.get(name, shown_flag(name))
    return f"{flag} {at[1]}" if name == "args" and len(at) > 1 else flag


def _words(at: Location, fault: Any) -> str:
    kind = fault["type"]
    if kind == "extra_forbidden":
        key = str(at[-1])
        table = _table_of(at[:-1])
        known = (*table.model_fields, *(["url"] if table is RunnerSpec else []))
        near = nearest(key.replace("-", "_"), known, most=1)
        hint = near or f"known: {', '.join(known)}"
        return f"unknown key; {hint}"
    if kind == "value_error":
        return str(fault["ctx"]["error"])
    if kind == "path_type":
        return f"expected a path, not {shown(fault.get('input'))}"
    if kind in ("model_type", "dict_type"):
        return f"expected a table, not {shown(fault.get('input'))}"
    message = str(fault["msg"])
    message = message[:1].lower() + message[1:]
    return f"{message}, not {shown(fault.get('input'))}"


def _table_of(at: Location) -> type[BaseModel]:
    """What stands at a place where a key is unknown."""
    if at and at[-1] in ("model", "draft_model"):
        return Packagings
    tables: Mapping[object, type[BaseModel]] = {"arm": ArmSpec, "runners": RunnerSpec}
    return tables.get(at[0], Suite) if at else Suite
