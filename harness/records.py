"""What a run leaves behind: arms, launches, samples, probes, sessions, the manifest, as on disk.

Seconds are seconds, rates are tokens per second, sizes are bytes. A field that a runner does not
expose is None and never 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from harness.machine.fingerprint import Machine
from harness.models.facts import ModelFacts
from harness.suite import Suite
from runners.base.contract import OptionValue
from runners.base.speculation import AS_SERVED, PLAIN, SyntheticAcceptance

SCHEMA_VERSION: Literal[1] = 1


class Record(BaseModel):
    """A frozen line or file of a run; unknown keys are refused, so that a typo is seen."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Arm(Record):
    """One setting under test, compared with the plain arm named in `baseline`.

    A server that somebody else has started has one way of decoding, 'as-served', and is compared
    with nothing of its own.
    """

    id: str
    """Short, unique in the run and usable as a file name: 'none', 'ngram-mod-k4'."""
    runner: str
    model: str | None
    """None where the runner reads no files; as served, what the server has nobody tells."""
    method: str
    draft_tokens: int | None
    draft_model: str | None = None
    synthetic: SyntheticAcceptance | None = None
    """Drafts accepted by draw: such an arm's text is void, and it competes with nobody."""
    asked: tuple[int, ...] = ()
    """The draft lengths asked for, where the runner or the model makes `draft_tokens` of them."""
    limit: str | None = None
    """What makes `draft_tokens` of `asked`; None where nothing does."""
    impossible: str | None = None
    """Why it cannot work, known before anything was launched; such an arm is never launched."""
    options: tuple[tuple[str, OptionValue], ...] = ()
    varied: tuple[str, ...] | None = None
    """Names of the options that tell arms apart and so belong in the label; None: all."""
    baseline: str
    """The id of the plain arm with the same runner, model and shared options; itself if it is
    plain, or as served."""
    counterpart: str | None = None
    """The id of the arm of the suite's first runner with the same model, method and draft tokens:
    what this one is set beside. As served is set beside plain. None of that runner's own arms, and
    where it has no such arm."""

    @property
    def is_baseline(self) -> bool:
        """Plain, or as served: what others are held against, and what nothing is held against."""
        return self.id == self.baseline

    @property
    def as_served(self) -> bool:
        """Of a server that somebody else has started."""
        return self.method == AS_SERVED

    @property
    def label(self) -> str:
        """What a table calls it: 'ngram-mod k=4, cache-type-k=q8_0'."""
        name = self.method if self.draft_tokens is None else f"{self.method} k={self.draft_tokens}"
        name = {PLAIN: "plain", AS_SERVED: "as served"}.get(self.method, name)
        if self.synthetic is not None:
            name = f"{name} synthetic {self.synthetic.label}"
        shown = [
            f"{key}={value}"
            for key, value in self.options
            if self.varied is None or key in self.varied
        ]
        return ", ".join([name, *shown])

    @property
    def shortened(self) -> str | None:
        """'asked for k=4, 6: at most 3 here (the model's chained MTP heads)'; None: as asked."""
        if self.draft_tokens is None or self.limit is None:
            return None
        longest = "at most" if self.draft_tokens <= min(self.asked, default=0) else "always"
        asked = ", ".join(map(str, self.asked))
        return f"asked for k={asked}: {longest} {self.draft_tokens} here ({self.limit})"


def launches_of(suite: Suite, arms: Iterable[Arm]) -> int:
    """Launches of the least rounds, if no runner is lost: arms that cannot work have none."""
    possible = sum(arm.impossible is None for arm in arms)
    return suite.least_rounds * possible * len(suite.max_tokens)


class Launch(Record):
    """One start of one arm in one round, whether it came up or not."""

    id: str
    """'r2-ngram-mod-k4'; a resumed round adds '-2', '-3', …"""
    arm: str
    round: int
    started_at: str
    """UTC, ISO 8601."""
    status: Literal["ok", "failed"]
    reason: str | None = None
    """Why it failed, in words for the user."""
    log: str
    """The runner's own output, relative to the run's folder."""
    remark: str | None = None
    """What the runner's own log says of the drafts, once its requests are done."""
    disagreement: str | None = None
    """Records of the runner that must agree on its drafts and do not, with both figures."""
    draft_limit: int | None = None
    """The longest draft that the runner says it makes; None: it does not say."""
    slots: int | None = None
    """Requests that the server has room for at once; None: it does not say."""
    command: str
    """The command or code that starts this launch by hand."""
    start_s: float
    """From the start of the process to the answer to the probe request: loading, mostly."""
    warmup_s: float = 0.0


SampleKey = tuple[int, str, str, str, int]
"""(round, arm, workload, prompt, max_tokens)"""


class Sample(Record):
    """One request, as measured."""

    arm: str
    round: int
    workload: str
    prompt: str
    """The prompt's id, unique in its workload."""
    max_tokens: int
    launch: str
    sequence: int
    """Position in the order in which the whole run was measured, from 0."""
    started_at: str
    status: Literal["ok", "failed"]
    reason: str | None = None

    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    finish_reason: str | None = None

    wall_s: float
    """From sending the request to the end of the stream (or to the failure)."""
    ttft_s: float | None = None
    """To the arrival of the first burst."""
    decode_s: float | None = None
    """From the first burst to the last one."""
    first_burst_tokens: int | None = None
    """Tokens of the first burst: they came with the prefill, so the decode rate leaves them out."""
    first_burst_at_most: int | None = None
    """The most tokens that the first burst may hold, where the tokens of the bursts are but equal
    shares of all tokens; None where they are counted."""
    decode_rate: float | None = None
    """(output_tokens - first_burst_tokens) / decode_s; None for an answer of a single burst."""
    tpot_s: float | None = None
    """1 / decode_rate."""
    bursts: tuple[tuple[float, int], ...] = ()
    """(seconds since the first burst, tokens) of every burst: all rates can be had from these."""

    runner_prefill_s: float | None = None
    runner_decode_s: float | None = None
    runner_decode_rate: float | None = None

    drafted: int | None = None
    accepted: int | None = None
    steps: int | None = None
    """Forward passes of the target that yielded tokens, the prefill's last one included."""
    accepted_per_position: tuple[int, ...] | None = None

    text: str | None = None
    """None under --no-text."""
    text_sha256: str | None = None
    tokens: tuple[int, ...] | None = None
    """Ids of the generated tokens, for the lossless comparison."""

    machine_cpu_s: float | None = None
    """CPU seconds that the whole machine spent during the request, all cores added."""
    runner_cpu_s: float | None = None
    """CPU seconds of the runner's own processes during the request."""
    runner_peak_memory: int | None = None
    """Largest resident size of the runner's processes together, in bytes; or what the runner says
    that it held, where that is more."""

    machine_idle_s: float | None = None
    """CPU seconds that the whole machine had left, all cores added."""
    runner_major_faults: int | None = None
    """Pages that the runner's processes had to wait for the disk for."""
    cpu_throttled: int | None = None
    """How often a processor held its clock back because it was too hot."""
    gpu_throttled: tuple[str, ...] | None = None
    """Why a GPU held its clock back before or after the request; None: it does not tell."""
    gpu_clock_mhz: int | None = None
    """Of the slowest GPU at work, at the end of the request."""
    gpu_temperature_c: int | None = None
    """Of the hottest GPU, at the end of the request."""

    @property
    def key(self) -> SampleKey:
        """What makes the sample unique in a run: resuming measures each key once."""
        return (self.round, self.arm, self.workload, self.prompt, self.max_tokens)


class Probe(Record):
    """What plain decoding finds likely at a place where an answer parted from plain's."""

    arm: str
    """The plain arm that was asked."""
    workload: str
    prompt: str
    prefix: int
    """Tokens of the answer that both had written before."""
    prefix_sha256: str
    """Of their ids."""
    log: str
    """The output of the launch that was asked, relative to the run's folder."""
    top: tuple[tuple[int, float], ...] | None = None
    """(token id, natural logarithm of its probability), likeliest first; None with a reason."""
    reason: str | None = None

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes the probe unique in a run: resuming asks each once."""
        return (self.arm, self.workload, self.prompt, self.prefix_sha256)


class Session(Record):
    """One uninterrupted stretch of a run's measuring, by the harness's own clock."""

    started_at: str
    wall_s: float
    loading_s: float
    """Starting runners, until each had answered its probe request."""
    waiting_s: float
    """Waiting for tokens: warm-up, measured requests and probes."""
    interrupted: bool = False

    @property
    def harness_s(self) -> float:
        """What the harness itself took: all that is neither loading models nor tokens."""
        return self.wall_s - self.loading_s - self.waiting_s


class PromptInfo(Record):
    workload: str
    id: str
    kind: str
    sha256: str


class RunnerInfo(Record):
    """The build of a runner that the run was made with."""

    name: str
    version: str
    where: str
    acceptance_source: str
    devices: tuple[str, ...] = ()
    kind: str | None = None
    """'llama.cpp', …: what `name` is a build of; None in runs of before builds had names."""
    program: str | None = None
    """The binary or command that was asked for; None: what was found."""


class ModelInfo(Record):
    """A model file of the run: `path` as given, its hash, and what its header says."""

    path: str
    sha256: str
    size: int
    facts: ModelFacts | None


class Manifest(Record):
    """What was to be measured, and on what. Written once, before the first launch."""

    schema_version: Literal[1] = SCHEMA_VERSION
    decodebench: str
    """The version of this project that wrote the run."""
    created_at: str
    command: tuple[str, ...]
    suite: Suite
    """Everything the run was asked for; resuming starts from it."""
    context: int
    """Tokens of context of every launch, unless an arm's own option says otherwise."""
    arms: tuple[Arm, ...]
    prompts: tuple[PromptInfo, ...]
    runners: tuple[RunnerInfo, ...]
    models: tuple[ModelInfo, ...]
    machine: Machine
    fingerprint: str
    """Hash of everything that makes two plans the same plan; resuming compares it."""

    @property
    def planned(self) -> int:
        """Requests of the least rounds; `RunData.planned` knows of those that followed."""
        return launches_of(self.suite, self.arms) * len(self.prompts)
