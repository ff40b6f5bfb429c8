"""The footnote of a row: under what conditions it was measured, and what nobody knows of them."""

from __future__ import annotations

from collections.abc import Iterator

from harness.analysis.ceilings import used_bandwidth
from harness.analysis.winner import Contest, Outcome
from harness.machine.gpu import Gpu
from harness.records import Arm, ModelInfo
from harness.report import escape, numbers
from harness.share.hardware import used_gpus
from harness.share.row import best_of, lossless_words, mark_of, setting_of
from harness.share.shared_run import Figures, Measured, shown

HASH_DIGITS = 12
"""Of a SHA-256: enough to tell files apart that people share."""

KV_OPTIONS = {
    "llama.cpp": ("cache-type-k", "cache-type-v"),
    "vllm": ("kv-cache-dtype",),
}
"""By kind of runner: the options that choose the type of the KV cache."""

KV_DEFAULT = {"llama.cpp": "f16", "vllm": "the model's type"}


def footnote_of(figures: Figures) -> str:
    """One paragraph of Markdown, on one line."""
    text = " ".join(f"{sentence}." for sentence in sentences_of(figures))
    return f"[^{mark_of(figures)}]: {escape.markdown(text)}"


def sentences_of(figures: Figures) -> Iterator[str]:
    """Each without its full stop."""
    yield from _machine(figures)
    yield from _files(figures)
    yield _runner(figures)
    yield _launch(figures)
    for one in figures.measured:
        yield from _result(figures, one)
    yield _method(figures)
    yield from _samples(figures)
    unknown = list(_unknown(figures))
    if unknown:
        yield f"Not known: {', '.join(unknown)}"
    yield _origin(figures)


def _machine(figures: Figures) -> Iterator[str]:
    machine = figures.manifest.machine
    if figures.plain.as_served:
        yield f"Asked from {machine.system}, where the server need not run"
        return
    for gpu in machine.gpus:
        yield _gpu(gpu, used=gpu in used_gpus(figures))
    threads = numbers.counted(machine.threads, "thread")
    kind = ", a virtual machine" if machine.virtual else ""
    yield (
        f"{machine.cpu}, {numbers.counted(machine.cores, 'core')}, {threads}, "
        f"{numbers.size(machine.memory_bytes)} of memory, {machine.system}{kind}"
    )
    used = used_bandwidth(figures.manifest, figures.plain)
    if used is not None:
        yield f"Memory bandwidth {numbers.bandwidth(used.bytes_per_s)}, {used.origin}"


def _gpu(gpu: Gpu, *, used: bool) -> str:
    parts = [gpu.name]
    if gpu.memory_bytes is not None:
        parts.append(numbers.size(gpu.memory_bytes))
    if gpu.driver is not None:
        parts.append(f"driver {gpu.driver}")
    return ", ".join(parts if used else [*parts, "not used"])


def _files(figures: Figures) -> Iterator[str]:
    model = figures.model
    if model is not None:
        yield f"Model {_file(model)}"
    drafts = dict.fromkeys(best_of(one.contest).arm.draft_model for one in figures.measured)
    for name in drafts:
        draft = figures.file(name)
        if draft is not None:
            yield f"Draft model {_file(draft)}"


def _file(model: ModelInfo) -> str:
    kind = None if model.facts is None else model.facts.quantization
    parts = [model.path, *([] if kind is None else [kind]), numbers.size(model.size)]
    return f"{', '.join(parts)}, SHA-256 {model.sha256[:HASH_DIGITS]}"


def _runner(figures: Figures) -> str:
    runner = figures.runner
    if runner is None:
        return f"Runner {figures.plain.runner}"
    parts = [f"{runner.kind or runner.name} {runner.version}", *runner.devices]
    return f"Runner {', '.join(parts)}"


def _launch(figures: Figures) -> str:
    if figures.plain.as_served:
        return "Started by somebody else; one request at a time"
    parts = [f"Context {figures.manifest.context}"]
    kv = kv_type(figures)
    if kv is not None:
        parts.append(f"KV cache {kv}")
    parts.append("one request at a time")
    slots = slots_of(figures)
    if slots is not None:
        parts.append(numbers.counted(slots, "slot"))
    options = dict(figures.plain.options)
    shown = " ".join(f"{name}={value}" for name, value in options.items())
    parts.append(f"options: {shown}" if options else "the runner's defaults otherwise")
    return ", ".join(parts)


def kv_type(figures: Figures) -> str | None:
    """'f16', 'q8_0 and q4_0' (keys and values); None where it is not known."""
    kind = _kind(figures)
    if kind not in KV_OPTIONS:
        return None
    options = dict(figures.plain.options)
    types = [str(options.get(name, KV_DEFAULT[kind])) for name in KV_OPTIONS[kind]]
    return numbers.listed(list(dict.fromkeys(types)))


def slots_of(figures: Figures) -> int | None:
    """Requests that the server has room for at once; None where it is not known."""
    if _kind(figures) != "llama.cpp" or figures.plain.as_served:
        return None
    given = dict(figures.plain.options).get("parallel", 1)
    return given if isinstance(given, int) else None


def _kind(figures: Figures) -> str:
    runner = figures.runner
    return figures.plain.runner if runner is None else runner.kind or runner.name


def _result(figures: Figures, one: Measured) -> Iterator[str]:
    contest = one.contest
    place = contest.workload
    if len({other.contest.max_tokens for other in figures.measured}) > 1:
        place += f", {contest.max_tokens} tokens"
    best = best_of(contest)
    parts = [f"{place}: {setting_of(best.arm)}", *_own_options(figures, best.arm)]
    if best.decode_rate is not None:
        parts.append(f"{numbers.rate_estimate(best.decode_rate)} tok/s")
    parts += _standing(contest, one)
    if best.doubtful is not None:
        parts.append(f"doubtful ({best.doubtful})")
    memory = best.peak_memory
    if memory is not None:
        beside = " without the GPU's" if used_gpus(figures) else ""
        parts.append(f"peak memory {numbers.size(memory)}{beside}")
    yield ", ".join(parts)


def _own_options(figures: Figures, arm: Arm) -> list[str]:
    """The options that plain decoding has not."""
    shared = set(figures.plain.options)
    own = [f"{name}={value}" for name, value in arm.options if (name, value) not in shared]
    return [f"with {' '.join(own)}"] if own and not arm.is_baseline else []


def _standing(contest: Contest, one: Measured) -> Iterator[str]:
    if contest.plain.failure is not None:
        yield "plain has no figures"
    if contest.best is None or contest.best.speedup is None:
        return
    several = contest.compared > 1
    settings = numbers.counted(contest.compared, "setting")
    if contest.outcome is Outcome.PLAIN:
        other = (
            f"{setting_of(shown(contest).arm)} {numbers.speedup(contest.best.speedup)} "
            f"({lossless_words(one.lossless)})"
        )
        whom = f"each of {settings}, of which the best is {other}" if several else other
        yield f"proven faster than {whom}"
    elif contest.outcome is Outcome.UNPROVEN:
        yield (
            f"the best of {settings}, none of them proven faster than plain"
            if several
            else ("not proven faster than plain")
        )
    elif several:
        yield f"the best of {settings}"
    if contest.rivals:
        names = numbers.listed([setting_of(rival.arm) for rival in contest.rivals])
        yield f"cannot be told apart from {names}"
    if contest.screen is not None:
        yield f"{contest.screen}: a screen, not a proof"
    if contest.failed:
        yield f"{numbers.counted(contest.failed, 'setting')} failed"


def _method(figures: Figures) -> str:
    suite = figures.manifest.suite
    sampling = "greedy" if suite.temperature == 0 else f"temperature {suite.temperature:g}"
    tokens = ", ".join(map(str, suite.max_tokens))
    return f"At most {tokens} tokens an answer, {sampling}, settings interleaved in each round"


def _samples(figures: Figures) -> Iterator[str]:
    total = numbers.counted(figures.answered, "request")
    if figures.left_out:
        why = ", ".join(f"{words} ({count})" for words, count in figures.doubtful)
        yield f"{figures.left_out} of {total} left out as doubtful: {why}"
    else:
        yield f"None of {total} left out as doubtful"
    if figures.failed:
        yield f"{numbers.counted(figures.failed, 'request')} failed"
    if figures.share.interrupted:
        yield "The run was not measured to its end"


def _unknown(figures: Figures) -> Iterator[str]:
    """What such a footnote should tell and nobody told."""
    machine, plain = figures.manifest.machine, figures.plain
    if plain.as_served:
        yield from ("the machine", "the model's file", "context", "KV type", "slots")
        return
    gpus = used_gpus(figures)
    model = figures.model
    if model is None:
        yield "the model's file"
    elif model.facts is None or model.facts.quantization is None:
        yield "quantisation"
    if kv_type(figures) is None:
        yield "KV type"
    if slots_of(figures) is None:
        yield "slots"
    if used_bandwidth(figures.manifest, plain) is None:
        yield "memory bandwidth"
    if gpus and any(gpu.driver is None for gpu in gpus):
        yield "driver"
    if gpus:
        yield "memory of the GPU in use"
    if machine.virtual is None:
        yield "whether the machine is virtual"
    if all(best_of(one.contest).peak_memory is None for one in figures.measured):
        yield "peak memory"
    yield "power limit"


def _origin(figures: Figures) -> str:
    manifest = figures.manifest
    return (
        f"Measured by decodebench {manifest.decodebench} on {manifest.created_at[:10]}, "
        f"samples SHA-256 {figures.share.samples_sha256[:HASH_DIGITS]}"
    )
