"""How vLLM names each way of speculating, and the keys of its `--speculative-config`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runners.base.contract import OptionValue, UsageError
from runners.base.speculation import PLAIN, WITH_DRAFT, Speculation
from runners.base.support import LengthLimit, MethodSupport, Need
from runners.vllm.build import Build

CONFIG = "speculative-config"
"""The flag that holds everything about speculation."""
METHOD_FLAG = "spec-method"
"""Its help lists the methods; older builds do not have it."""


@dataclass(frozen=True)
class Method:
    """One of our methods in vLLM's words."""

    name: str
    needs: tuple[Need, ...] = ()
    limit: LengthLimit | None = None


METHODS: Mapping[str, Method] = {
    "draft-model": Method("draft_model", (Need.DRAFT_MODEL, Need.EQUAL_SIZES)),
    "mtp": Method("mtp", (Need.MTP_HEADS,)),
    "eagle": Method("eagle", (Need.EAGLE_DRAFT,)),
    "eagle3": Method("eagle3", (Need.EAGLE3_DRAFT,)),
    "medusa": Method("medusa", (Need.MEDUSA_HEADS,), LengthLimit.MEDUSA_HEADS),
    "dflash": Method("dflash", (Need.DFLASH_DRAFT,)),
    "ngram": Method("ngram"),
    "suffix": Method("suffix"),
}

KEYS = frozenset(
    {
        "prompt_lookup_min",
        "prompt_lookup_max",
        "suffix_decoding_max_tree_depth",
        "suffix_decoding_max_cached_requests",
        "suffix_decoding_max_spec_factor",
        "suffix_decoding_min_token_prob",
        "draft_tensor_parallel_size",
        "draft_sample_method",
        "disable_padded_drafter_batch",
        "parallel_drafting",
        "use_local_argmax_reduction",
    }
)
"""Keys of the configuration that no flag of vLLM's has as well: they need not say where they
belong."""

OURS = {
    "method": "--method",
    "model": "--draft-model",
    "num_speculative_tokens": "--draft-tokens",
    "rejection_sample_method": "--synthetic-acceptance",
    "synthetic_acceptance_length": "--synthetic-acceptance",
    "synthetic_acceptance_rates": "--synthetic-acceptance",
}
"""Keys that are set by flags of our own."""


def key_of(option: str) -> str | None:
    """'prompt_lookup_max' of 'speculative-config.prompt_lookup_max'; None of any other option."""
    prefix, dot, key = option.partition(".")
    return key if dot and prefix == CONFIG else None


def support_of(method: str, build: Build) -> MethodSupport:
    """Whether a build can speculate so, and what that takes."""
    if method == PLAIN:
        return MethodSupport(method, supported=True)
    if method not in METHODS:
        return MethodSupport(method, supported=False, note="vLLM has no such method")
    if not build.help.has(CONFIG):
        return MethodSupport(method, supported=False, note=f"this build has no --{CONFIG}")
    own = METHODS[method]
    flag = build.help.flag(METHOD_FLAG)
    if flag is not None and flag.choices and own.name not in flag.choices:
        return MethodSupport(method, supported=False, note=f"vLLM {build.version} does not have it")
    if method == "suffix" and build.suffix is False:
        note = "needs arctic-inference, which is not installed beside this vLLM"
        return MethodSupport(method, supported=False, note=note)
    note = "; ".join(f"needs {need.value}" for need in own.needs)
    if method == "suffix" and build.suffix is None:
        note = "needs arctic-inference beside vLLM"
    return MethodSupport(method, supported=True, note=note, needs=own.needs, limit=own.limit)


def config_of(
    speculation: Speculation, keys: Mapping[str, OptionValue], build: Build
) -> dict[str, OptionValue | list[float]]:
    """The `--speculative-config` of a speculation, which is not plain.

    Raises:
        UsageError: the build cannot speculate so.
    """
    support = support_of(speculation.method, build)
    if not support.supported:
        raise UsageError(f"vLLM cannot speculate by {speculation.method!r}: {support.note}")
    own = METHODS[speculation.method]
    assert speculation.draft_tokens is not None
    config: dict[str, OptionValue | list[float]] = {
        "method": own.name,
        "num_speculative_tokens": speculation.draft_tokens,
    }
    if speculation.method in WITH_DRAFT and speculation.draft_model is None:
        raise UsageError(f"method {speculation.method} needs --draft-model: {own.needs[0].value}")
    if speculation.draft_model is not None and own.needs:
        config["model"] = str(speculation.draft_model)
    if (synthetic := speculation.synthetic) is not None:
        config["rejection_sample_method"] = "synthetic"
        if synthetic.length is not None:
            config["synthetic_acceptance_length"] = synthetic.length
        else:
            rates = synthetic.rates_for(speculation.draft_tokens)
            config["synthetic_acceptance_rates"] = list(rates)
    return {**config, **keys}


def applies(option: str, method: str) -> bool:
    """Whether launches of the method look at an option, by its canonical name."""
    if (key := key_of(option)) is None:
        return True
    if method == PLAIN:
        return False
    if key.startswith("prompt_lookup_"):
        return method == "ngram"
    if key.startswith("suffix_decoding_"):
        return method == "suffix"
    return True
