"""How far each trial is from what the memory bandwidth allows."""

from __future__ import annotations

from dataclasses import dataclass

from harness.models.facts import ModelFacts
from harness.records import Arm, Manifest
from harness.run_folder import RunData
from harness.theory.ceiling import decode_ceiling, kv_bytes_as

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


def trial_ceiling(run: RunData, arm: Arm, measured: Measured) -> Ceiling:
    """The ceiling of one arm at the depth and the acceptance that were measured.

    It is an upper bound. What the model's header does not tell is left out and would lower it:
    the weights of MTP, EAGLE and Medusa heads, and the further experts that a mixture-of-experts
    model reads to verify several tokens at once.
    """
    try:
        return Ceiling(_rate(run.manifest, arm, measured))
    except _UnknownError as error:
        return Ceiling(None, str(error))


class _UnknownError(Exception):
    """Something that the ceiling needs is not known; the text says what."""


def _rate(manifest: Manifest, arm: Arm, measured: Measured) -> float:
    target = _facts(manifest, arm.model, "model")
    bandwidth = _bandwidth(manifest, arm)
    if measured.depth is None:
        raise _UnknownError("token counts not exposed")
    tau, draft_tokens, draft_bytes = 1.0, 0, 0.0
    if arm.method != "none":
        if measured.acceptance_length is None:
            raise _UnknownError("acceptance length not exposed")
        tau = measured.acceptance_length
    if arm.draft_model is not None and arm.draft_tokens:
        draft = _facts(manifest, arm.draft_model, "draft model")
        if measured.drafted_per_step is None:
            raise _UnknownError("drafted tokens not exposed")
        draft_tokens = arm.draft_tokens
        # A drafter may stop before k, when it is unsure: count the passes that it really made.
        draft_bytes = draft.active_bytes * measured.drafted_per_step / draft_tokens
    try:
        return decode_ceiling(
            bandwidth,
            target.active_bytes,
            _kv_bytes(arm, target),
            measured.depth,
            tau=tau,
            draft_tokens=draft_tokens,
            draft_active_bytes=draft_bytes,
        )
    except ValueError as error:
        raise _UnknownError(f"the runner's counts contradict each other: {error}") from error


def _facts(manifest: Manifest, path: str | None, what: str) -> ModelFacts:
    if path is None:
        raise _UnknownError("the runner reads no model")
    facts = next((model.facts for model in manifest.models if model.path == path), None)
    if facts is None:
        raise _UnknownError(f"the {what}'s header could not be read")
    return facts


def _kv_bytes(arm: Arm, target: ModelFacts) -> float:
    """Bytes of keys and values of one token under the arm's cache types (llama.cpp's options)."""
    types = {key: str(value) for key, value in arm.options}
    keys, values = types.get("cache-type-k", "f16"), types.get("cache-type-v", "f16")
    try:
        return kv_bytes_as(target.kv_bytes_per_token, keys, values)
    except ValueError as error:
        raise _UnknownError(str(error)) from error


def _bandwidth(manifest: Manifest, arm: Arm) -> float:
    """Bytes a second of the memory that holds the weights."""
    machine = manifest.machine
    if machine.gpus and _accelerators(manifest, arm):
        if len(machine.gpus) > 1:
            raise _UnknownError("it is not known how the weights are spread over the GPUs")
        if machine.gpus[0].bandwidth_bytes_per_s is None:
            raise _UnknownError("the GPU's memory bandwidth is not known")
        return machine.gpus[0].bandwidth_bytes_per_s
    # Without a GPU of its own memory the processor's reading holds: on Apple silicon both share it.
    if machine.bandwidth is None:
        raise _UnknownError("memory bandwidth not measured")
    return machine.bandwidth.bytes_per_s


def fits_cache(manifest: Manifest, arm: Arm) -> bool:
    """Whether a processor's last cache could hold the weights, so that memory need not be read."""
    machine = manifest.machine
    facts = next((model.facts for model in manifest.models if model.path == arm.model), None)
    cache = machine.last_level_cache_bytes
    if facts is None or cache is None or (machine.gpus and _accelerators(manifest, arm)):
        return False
    return facts.active_bytes <= cache


def _accelerators(manifest: Manifest, arm: Arm) -> list[str]:
    """Devices of the arm's runner that are not the processor or a library that runs on it."""
    devices = next((info.devices for info in manifest.runners if info.name == arm.runner), ())
    return [device for device in devices if not device.upper().startswith(PROCESSOR_DEVICES)]
