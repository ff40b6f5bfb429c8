"""How llama.cpp names each way of speculating, and which of its options hold the draft length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runners.base.contract import OptionValue, UsageError
from runners.base.speculation import PLAIN, WITH_DRAFT, Speculation
from runners.base.support import LengthLimit, MethodSupport, Need


@dataclass(frozen=True)
class Method:
    """One of our methods in llama.cpp's words."""

    spec_type: str
    """As in `--spec-type`."""
    draft_length: str | None
    """The option that holds the draft length; None where it is built in."""
    needs: tuple[Need, ...] = ()
    limit: LengthLimit | None = None
    fixed_length: int | None = None

    def support(self, name: str) -> MethodSupport:
        return MethodSupport(
            name,
            supported=True,
            note="; ".join(f"needs {need.value}" for need in self.needs),
            needs=self.needs,
            limit=self.limit,
            fixed_length=self.fixed_length,
        )


_DRAFT_LENGTH = "spec-draft-n-max"

METHODS: dict[str, Method] = {
    "draft-model": Method("draft-simple", _DRAFT_LENGTH, (Need.DRAFT_MODEL,)),
    "mtp": Method("draft-mtp", _DRAFT_LENGTH, (Need.MTP_HEADS,), LengthLimit.CHAINED_HEADS),
    "eagle3": Method("draft-eagle3", _DRAFT_LENGTH, (Need.EAGLE3_DRAFT,)),
    "dflash": Method("draft-dflash", _DRAFT_LENGTH, (Need.DFLASH_DRAFT,), LengthLimit.BLOCK),
    "dspark": Method("draft-dspark", _DRAFT_LENGTH, (Need.DSPARK_DRAFT,), LengthLimit.BLOCK),
    "ngram-simple": Method("ngram-simple", "spec-ngram-simple-size-m"),
    "ngram-map-k": Method("ngram-map-k", "spec-ngram-map-k-size-m"),
    "ngram-map-k4v": Method("ngram-map-k4v", "spec-ngram-map-k4v-size-m"),
    "ngram-mod": Method("ngram-mod", "spec-ngram-mod-n-max"),
    "ngram-cache": Method("ngram-cache", None, fixed_length=8),
}
DRAFT_LENGTHS = frozenset(method.draft_length for method in METHODS.values() if method.draft_length)

LONGEST_LOOKUP = 12
"""llama.cpp's own default of the n-gram that ngram-simple looks up."""


def parts_of(speculation: Speculation) -> list[Method]:
    """The methods of a speculation, each in llama.cpp's words.

    Raises:
        UsageError: llama.cpp has no such method, or the draft model that it needs is not named.
    """
    for part in speculation.parts:
        if part not in METHODS:
            raise UsageError(
                f"llama.cpp cannot speculate by {part!r}: choose from {', '.join(METHODS)}"
            )
        if part in WITH_DRAFT and speculation.draft_model is None:
            need = METHODS[part].needs[0].value
            raise UsageError(f"method {part} needs --draft-model: {need}")
    return [METHODS[part] for part in speculation.parts]


def takes_draft_file(speculation: Speculation) -> bool:
    """Whether a draft model means anything to the speculation; for MTP it is a file of heads."""
    return any(part in WITH_DRAFT or part == "mtp" for part in speculation.parts)


def speculation_options(speculation: Speculation) -> list[tuple[str, OptionValue]]:
    """A speculation as options of today's llama-server, without the draft model's path.

    Raises:
        UsageError: as `parts_of`.
    """
    if speculation.is_plain:
        return []
    methods = parts_of(speculation)
    assert speculation.draft_tokens is not None
    options: list[tuple[str, OptionValue]] = [
        ("spec-type", ",".join(method.spec_type for method in methods))
    ]
    options += [
        (method.draft_length, speculation.draft_tokens) for method in methods if method.draft_length
    ]
    if speculation.draft_model is not None and takes_draft_file(speculation):
        options.append(("spec-draft-model", str(speculation.draft_model)))
    return options


def synthetic_options(
    speculation: Speculation, options: Mapping[str, OptionValue]
) -> list[tuple[str, OptionValue]]:
    """Acceptance by draw, for the draft lengths that stand in `options`.

    Raises:
        UsageError: there are fewer rates than the longest draft has tokens.
    """
    synthetic, asked = speculation.synthetic, speculation.draft_tokens
    if synthetic is None or asked is None:
        return []
    if synthetic.length is not None:
        return [("spec-synth-len", synthetic.length)]
    # llama.cpp wants a rate for every token of the longest draft that any method of a chain makes.
    set_by = [options.get(method.draft_length or "") for method in parts_of(speculation)]
    fixed = [method.fixed_length for method in parts_of(speculation)]
    longest = max([length for length in (*set_by, *fixed) if isinstance(length, int)] or [asked])
    if (reason := synthetic.reason_against(longest)) is not None:
        raise UsageError(
            f"llama.cpp drafts up to {longest} tokens by {speculation.method}: {reason}"
        )
    rates = synthetic.rates_for(longest)
    return [("spec-synth-rates", ",".join(f"{rate:g}" for rate in rates))]


def needed_options(method: str, draft_tokens: Sequence[int]) -> tuple[tuple[str, OptionValue], ...]:
    """Options without which a short draft length would silently draft nothing."""
    found: list[tuple[str, OptionValue]] = []
    for part in method.split("+"):
        if part == "ngram-mod":  # Its default is at least 48 tokens a draft.
            found.append(("spec-ngram-mod-n-min", 1))
        if part == "ngram-simple":  # It drops every draft that is shorter than its n-gram.
            found.append(("spec-ngram-simple-size-n", min(LONGEST_LOOKUP, *draft_tokens)))
    return tuple(found)


def check_lookup(size_n: OptionValue | None, size_m: OptionValue | None) -> None:
    """Refuse an n-gram that ngram-simple can never draft for; None: llama.cpp's default.

    Raises:
        UsageError: the n-gram is longer than the draft.
    """
    lookup = LONGEST_LOOKUP if size_n is None else size_n
    if isinstance(lookup, int) and isinstance(size_m, int) and lookup > size_m:
        raise UsageError(
            f"llama.cpp's ngram-simple drafts nothing when spec-ngram-simple-size-n ({lookup}) "
            f"is larger than the draft length ({size_m}): change one of them"
        )


def applies(option: str, method: str) -> bool:
    """Whether launches of the method look at an option, named in today's canonical way."""
    if not option.startswith("spec-"):
        return True
    parts = [part for part in method.split("+") if part != PLAIN]
    if option.startswith("spec-draft-"):
        return any(part in WITH_DRAFT or part == "mtp" for part in parts)
    if not option.startswith("spec-ngram-"):
        return bool(parts)
    # '…-size-n', not '…-k4v-size-n': one method's name begins with another's.
    known = [other for other in METHODS if option.startswith(f"spec-{other}-")]
    owner = max(known, key=len, default=None)
    # What no method owns applies, so that it reaches the check that refuses it.
    return owner is None or owner in parts
