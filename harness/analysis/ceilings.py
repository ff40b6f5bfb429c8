"""How far each trial is from what the memory bandwidth allows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.analysis.held_types import by_name, kv_bytes, weights_share
from harness.models.facts import ModelFacts
from harness.records import Arm, Manifest, RunnerInfo, Sample
from harness.run_folder import RunData
from harness.theory.ceiling import Reads, decode_ceiling, verified_active_bytes
from runners.base.contract import OptionValue
from runners.base.speculation import PLAIN, parts_of

BLOCK_METHODS = frozenset({"medusa", "dflash", "dspark"})
"""One pass of the drafter drafts all tokens of a draft."""

PROCESSOR_DEVICES = ("CPU", "BLAS", "AMX")
"""How llama.cpp calls the devices that read the processor's memory."""


@dataclass(frozen=True)
class Ceiling:
    """The highest decode rate that the memory bandwidth allows; `rate` is None with a reason."""

    rate: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Measured:
    """What the ceiling of a trial needs from its samples; None where not exposed."""

    depth: float | None
    """Mean tokens in the context while decoding: the prompt and half of the answer."""
    acceptance_length: float | None
    drafted_per_step: float | None


def mean_depth(samples: Iterable[Sample]) -> float | None:
    """Tokens in the context while decoding, on average: the prompt and half of the answer."""
    depths = [
        sample.prompt_tokens + sample.output_tokens / 2
        for sample in samples
        if sample.prompt_tokens is not None and sample.output_tokens is not None
    ]
    return sum(depths) / len(depths) if depths else None


def trial_ceiling(run: RunData, arm: Arm, measured: Measured) -> Ceiling:
    """The ceiling of one arm at the depth and the acceptance that were measured.

    It is an upper bound, but for two things that are expectations: the experts that verifying
    several tokens reads, and the bandwidth, which is a measurement.
    """
    try:
        return Ceiling(_rate(run.manifest, arm, measured))
    except _UnknownError as error:
        return Ceiling(None, str(error))


@dataclass(frozen=True)
class KnownReads:
    """What an arm's passes and drafts read; None with a reason."""

    reads: Reads | None
    reason: str | None = None


def arm_reads(manifest: Manifest, arm: Arm, depth: float) -> KnownReads:
    """What the arm reads at a depth (tokens of context), on whatever machine: from the manifest
    alone, without the model files."""
    try:
        if arm.as_served:
            raise _UnknownError("which files a server that already runs has read is not exposed")
        target = _held(manifest, arm, arm.model, "model")
        kv_bytes = _kv_bytes(manifest, arm, target) * depth
        draft_bytes = _draft_bytes(manifest, arm, target, Measured(depth, None, None))
    except _UnknownError as error:
        return KnownReads(None, str(error))
    if not target.active_bytes:
        return KnownReads(None, "the model's header holds nothing that a token would read")
    if (target.experts_used or 0) > (target.experts or 0):
        return KnownReads(None, "the model's header names more experts in use than it has")
    blocks = arm.method in BLOCK_METHODS
    return KnownReads(
        Reads(
            active_bytes=target.active_bytes,
            kv_bytes=kv_bytes,
            draft_bytes=0 if blocks else draft_bytes,
            block_bytes=draft_bytes if blocks else 0,
            expert_bytes=target.expert_bytes if target.experts_used else 0,
            experts=target.experts or 1,
            experts_used=target.experts_used or 1,
        )
    )


class _UnknownError(Exception):
    """Something that the ceiling needs is not known; the text says what."""


def _rate(manifest: Manifest, arm: Arm, measured: Measured) -> float:
    if arm.as_served:
        raise _UnknownError("which files a server that already runs has read is not exposed")
    target = _held(manifest, arm, arm.model, "model")
    bandwidth = _bandwidth(manifest, arm).bytes_per_s
    if measured.depth is None:
        raise _UnknownError("token counts not exposed")
    tau = 1.0
    if arm.method != PLAIN:
        if measured.acceptance_length is None:
            raise _UnknownError("acceptance length not exposed")
        tau = measured.acceptance_length
    draft_bytes = _draft_bytes(manifest, arm, target, measured)
    draft_tokens = 0
    if draft_bytes and arm.draft_tokens:
        draft_tokens = arm.draft_tokens
        # A drafter may stop before k, when it is unsure: count the passes that it really made.
        draft_bytes *= _drafted(measured) / draft_tokens
    try:
        return decode_ceiling(
            bandwidth,
            _pass_bytes(arm, target, measured),
            _kv_bytes(manifest, arm, target),
            measured.depth,
            tau=tau,
            draft_tokens=draft_tokens,
            draft_active_bytes=draft_bytes,
        )
    except ValueError as error:
        raise _UnknownError(f"the runner's counts contradict each other: {error}") from error


def _pass_bytes(arm: Arm, target: ModelFacts, measured: Measured) -> float:
    """Weights that one pass of the target reads: of experts, more the more tokens it verifies."""
    if arm.method == PLAIN or not (target.experts and target.experts_used and target.expert_bytes):
        return target.active_bytes
    return verified_active_bytes(
        target.active_bytes,
        target.expert_bytes,
        target.experts,
        target.experts_used,
        1 + _drafted(measured),
    )


def _draft_bytes(manifest: Manifest, arm: Arm, target: ModelFacts, measured: Measured) -> float:
    """Weights that drafting one token reads; 0 where nothing but the text is looked at."""
    if len(parts_of(arm.method)) > 1:
        return 0  # Nobody tells which drafts came from the lookup, and the ceiling is to be above.
    if arm.draft_model is not None:
        draft = _held(manifest, arm, arm.draft_model, "draft model")
        if arm.method in BLOCK_METHODS and measured.drafted_per_step:
            # One pass reads all of it, however many tokens it drafts.
            return draft.drafting_bytes(target) / measured.drafted_per_step
        # A file of MTP heads alone is a draft model too.
        if arm.method == "mtp" and draft.mtp_active_bytes:
            return draft.mtp_active_bytes
        return draft.drafting_bytes(target)
    if arm.method == "mtp":
        if not target.mtp_active_bytes:
            raise _UnknownError("the model's header does not tell the size of its MTP heads")
        return target.mtp_active_bytes
    return 0


def _drafted(measured: Measured) -> float:
    if measured.drafted_per_step is None:
        raise _UnknownError("drafted tokens not exposed")
    return measured.drafted_per_step


def _facts(manifest: Manifest, path: str | None, what: str) -> ModelFacts:
    if path is None:
        raise _UnknownError("the runner reads no model")
    facts = next((model.facts for model in manifest.models if model.path == path), None)
    if facts is None:
        raise _UnknownError(f"the {what}'s header could not be read")
    return facts


def _held(manifest: Manifest, arm: Arm, path: str | None, what: str) -> ModelFacts:
    """The facts of a model, its weights as large as the arm's runner holds them.

    A draft model is held as the target is.
    """
    facts = _facts(manifest, path, what)
    try:
        share = weights_share(_kind(manifest, arm), facts, by_name(arm.options))
    except ValueError as error:
        raise _UnknownError(str(error)) from error
    if share == 1:
        return facts
    return facts.model_copy(
        update={
            "active_bytes": round(share * facts.active_bytes),
            "expert_bytes": round(share * facts.expert_bytes),
            "mtp_active_bytes": round(share * facts.mtp_active_bytes),
            "output_bytes": round(share * facts.output_bytes),
        }
    )


def _kv_bytes(manifest: Manifest, arm: Arm, target: ModelFacts) -> float:
    """Bytes of keys and values of one token as the arm's runner keeps them."""
    try:
        return kv_bytes(_kind(manifest, arm), target, by_name(arm.options))
    except ValueError as error:
        raise _UnknownError(str(error)) from error


@dataclass(frozen=True)
class UsedBandwidth:
    """Of the memory that holds the weights."""

    bytes_per_s: float
    origin: str
    """'as it was measured': what a report says after the figure."""


def used_bandwidth(manifest: Manifest, arm: Arm) -> UsedBandwidth | None:
    """What the arm's ceiling stands on; None: it is not known."""
    try:
        return _bandwidth(manifest, arm)
    except _UnknownError:
        return None


def _bandwidth(manifest: Manifest, arm: Arm) -> UsedBandwidth:
    machine = manifest.machine
    if manifest.suite.bandwidth is not None:
        return UsedBandwidth(manifest.suite.bandwidth, "as it was given")
    if _on_gpu(manifest, arm):
        if len(machine.gpus) > 1:
            raise _UnknownError("it is not known how the weights are spread over the GPUs")
        if machine.gpus[0].bandwidth_bytes_per_s is None:
            raise _UnknownError("the GPU's memory bandwidth is not known")
        return UsedBandwidth(machine.gpus[0].bandwidth_bytes_per_s, "the GPU's nominal one")
    # Without a GPU of its own memory the processor's reading holds: on Apple silicon both share it.
    if machine.bandwidth is None:
        raise _UnknownError("memory bandwidth not measured")
    return UsedBandwidth(machine.bandwidth.bytes_per_s, "as it was measured")


def fits_cache(manifest: Manifest, arm: Arm) -> bool:
    """Whether a processor's last cache could hold the weights, so that memory need not be read."""
    cache = manifest.machine.last_level_cache_bytes
    try:
        facts = _held(manifest, arm, arm.model, "model")
        return cache is not None and not _on_gpu(manifest, arm) and facts.active_bytes <= cache
    except _UnknownError:
        return False


def _on_gpu(manifest: Manifest, arm: Arm) -> bool:
    """Whether the weights lie in a GPU's own memory; where the options part them, nobody knows."""
    if not (manifest.machine.gpus and _accelerators(manifest, arm)):
        return False
    options = dict(arm.options)
    if _kind(manifest, arm) == "vllm":
        # It holds all weights on the GPU that it sees, unless it is told otherwise.
        if str(by_name(arm.options).get("cpu-offload-gb", 0)) not in ("0", "0.0"):
            raise _UnknownError("cpu-offload-gb is set, so a part of the weights is elsewhere")
        return True
    # llama.cpp's; without the option it fits in as many layers as there is room for.
    placed = {_placed(options.get("n-gpu-layers"), manifest, arm.model)}
    if arm.draft_model is not None:
        placed.add(_placed(options.get("spec-draft-ngl"), manifest, arm.draft_model))
    if placed == {True}:
        return True
    if placed == {False}:
        return False
    raise _UnknownError("n-gpu-layers is set, so the placement of the weights is not known")


def _placed(layers: OptionValue | None, manifest: Manifest, path: str | None) -> bool | None:
    """Whether the option puts a model on the GPU: wholly, not at all (False), or in parts (None).

    llama.cpp counts the output matrix as one layer more.
    """
    if layers is None or str(layers) in ("all", "auto", "-1", "-2"):
        return True
    if str(layers) == "0":
        return False
    facts = _facts(manifest, path, "model")
    whole = isinstance(layers, int) and layers > facts.layers + facts.mtp_layers
    return True if whole else None


def on_processor(manifest: Manifest, arm: Arm) -> bool:
    """Whether the arm's runner has nothing but processors to compute on, as far as it is known."""
    info = _info(manifest, arm)
    told = info is not None and bool(info.devices)
    return (told or not manifest.machine.gpus) and not _accelerators(manifest, arm)


def _accelerators(manifest: Manifest, arm: Arm) -> list[str]:
    """Devices of the arm's runner that are not the processor or a library that runs on it."""
    info = _info(manifest, arm)
    devices = () if info is None else info.devices
    return [device for device in devices if not device.upper().startswith(PROCESSOR_DEVICES)]


def _kind(manifest: Manifest, arm: Arm) -> str:
    """'vllm', …: what the arm's runner is a build of."""
    info = _info(manifest, arm)
    return arm.runner if info is None or info.kind is None else info.kind


def _info(manifest: Manifest, arm: Arm) -> RunnerInfo | None:
    return next((info for info in manifest.runners if info.name == arm.runner), None)
