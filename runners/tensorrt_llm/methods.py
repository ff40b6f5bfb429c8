"""How TensorRT-LLM names each way of speculating: its `speculative_config`.

Read in `tensorrt_llm/llmapi/llm_args.py` of 1.0 to 1.4. Every key that a version does not know is
an error when it starts, so a wrong name is never silent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runners.base.contract import OptionValue, UsageError
from runners.base.speculation import PLAIN, WITH_DRAFT, Speculation
from runners.base.support import MethodSupport, Need
from runners.endpoint.launched import Build
from runners.tensorrt_llm.build import release

CONFIG = "speculative_config"
NEW_NAMES = (1, 2)
"""The release from which `decoding_type` and the draft's key have the names of today."""
BLOCKS = (1, 3)
"""The release that has DFlash and DSpark."""
LENGTH = "max_draft_len"
MTP_LENGTH = "num_nextn_predict_layers"
"""What MTP's length was called alone, and still may; where both are given they must be one."""
OURS = {
    "decoding_type": "--method",
    "speculative_model": "--draft-model",
    "speculative_model_dir": "--draft-model",
    LENGTH: "--draft-tokens",
    MTP_LENGTH: "--draft-tokens",
    "block_size": "--draft-tokens",
    "max_total_draft_tokens": "--draft-tokens",
    "draft_len_schedule": "--draft-tokens: it would change the length as it goes",
    "max_concurrency": "bench: it would switch speculation off",
    "acceptance_rate_threshold": "bench: it would switch speculation off",
    "acceptance_length_threshold": "bench: it would switch speculation off",
    "use_dynamic_tree": "bench: draft tokens are a chain, or their number would not compare",
    "eagle_choices": "bench: draft tokens are a chain, or their number would not compare",
}
"""Keys that are set by flags of our own."""


@dataclass(frozen=True)
class Method:
    """One of our methods in TensorRT-LLM's words."""

    name: str
    needs: tuple[Need, ...] = ()
    formerly: str | None = None
    """Before `NEW_NAMES`."""
    since: tuple[int, int] | None = None
    alone: bool = False
    """It cannot be prepared while the GPU is still busy with the step before."""


METHODS: Mapping[str, Method] = {
    "draft-model": Method("Draft_Target", (Need.DRAFT_MODEL,), formerly="DraftTarget", alone=True),
    "mtp": Method("MTP", (Need.MTP_HEADS,)),
    "eagle3": Method("Eagle3", (Need.EAGLE3_DRAFT,), formerly="Eagle"),
    "ngram": Method("NGram", alone=True),
    "dflash": Method("DFlash", (Need.DFLASH_DRAFT,), since=BLOCKS),
    "dspark": Method("DSpark", (Need.DSPARK_DRAFT,), since=BLOCKS),
}

OTHERS = {
    "eagle": "TensorRT-LLM has EAGLE-3 only: --method eagle3, with a head made for it",
    "medusa": "TensorRT-LLM has Medusa only in engines of its TensorRT backend, which bench does "
    "not build",
}
"""Methods that it has had, or has elsewhere."""


def support_of(method: str, build: Build) -> MethodSupport:
    """Whether a build can speculate so, and what that takes."""
    if method == PLAIN:
        return MethodSupport(method, supported=True)
    if method not in METHODS:
        note = OTHERS.get(method, "TensorRT-LLM has no such method")
        return MethodSupport(method, supported=False, note=note)
    own = METHODS[method]
    version = release(build.version)
    if own.since is not None and version is not None and version < own.since:
        note = f"TensorRT-LLM {build.version} does not have it"
        return MethodSupport(method, supported=False, note=note)
    note = "; ".join(f"needs {need.value}" for need in own.needs)
    return MethodSupport(method, supported=True, note=note, needs=own.needs)


def config_of(speculation: Speculation, build: Build) -> dict[str, OptionValue]:
    """The `speculative_config` of a speculation that is not plain.

    Raises:
        UsageError: the build cannot speculate so.
    """
    support = support_of(speculation.method, build)
    if not support.supported:
        raise UsageError(f"TensorRT-LLM cannot speculate by {speculation.method!r}: {support.note}")
    if speculation.synthetic is not None:
        raise UsageError(
            "TensorRT-LLM accepts by what the target says only: no --synthetic-acceptance"
        )
    own = METHODS[speculation.method]
    length = speculation.draft_tokens
    assert length is not None
    if speculation.method in WITH_DRAFT and speculation.draft_model is None:
        raise UsageError(f"method {speculation.method} needs --draft-model: {own.needs[0].value}")
    version = release(build.version)
    old = version is not None and version < NEW_NAMES
    config: dict[str, OptionValue] = {
        "decoding_type": own.formerly if old and own.formerly is not None else own.name,
        LENGTH: length,
    }
    if speculation.method == "mtp":
        config[MTP_LENGTH] = length
    if speculation.method == "dspark":
        config["block_size"] = length
    if speculation.method == "ngram":
        # In the text so far: the answers to other prompts do not count.
        config |= {"max_matching_ngram_size": 2, "is_public_pool": False}
    if own.needs and speculation.draft_model is not None:
        key = "speculative_model_dir" if old else "speculative_model"
        config[key] = str(speculation.draft_model.absolute())
    return config
