"""How SGLang names each way of speculating, and how it counts draft tokens.

Read in `arg_groups/speculative_hook.py` and `speculative/` of its 0.5.23.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runners.base.contract import UsageError
from runners.base.speculation import PLAIN, WITH_DRAFT, Speculation
from runners.base.support import MethodSupport, Need
from runners.endpoint.launched import Build

ALGORITHM = "speculative-algorithm"
DRAFT = "speculative-draft-model-path"
STEPS = "speculative-num-steps"
TOPK = "speculative-eagle-topk"
WIDTH = "speculative-num-draft-tokens"
"""Tokens of one verification: the drafts, and the token that they follow."""
GAMMA = "speculative-dspark-block-size"
"""Drafts of one verification."""
BREADTH = "speculative-ngram-max-bfs-breadth"


@dataclass(frozen=True)
class Method:
    """One of our methods in SGLang's words."""

    algorithm: str
    needs: tuple[Need, ...] = ()
    flag: str = STEPS
    """What a build has that knows the algorithm."""
    becomes: tuple[str, ...] = ()
    """What the server calls it once it is up, if not by `algorithm`."""
    chained: bool = False
    """The draft model is asked once for each token."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the running server may call it."""
        return self.becomes or (self.algorithm,)


METHODS: Mapping[str, Method] = {
    "draft-model": Method("STANDALONE", (Need.DRAFT_MODEL, Need.EQUAL_SIZES), chained=True),
    "mtp": Method(
        "NEXTN", (Need.MTP_HEADS,), becomes=("EAGLE", "NEXTN", "FROZEN_KV_MTP"), chained=True
    ),
    "eagle": Method("EAGLE", (Need.EAGLE_DRAFT,), chained=True),
    "eagle3": Method("EAGLE3", (Need.EAGLE3_DRAFT,), chained=True),
    "ngram": Method("NGRAM", flag=BREADTH),
    "dflash": Method("DFLASH", (Need.DFLASH_DRAFT,), flag="speculative-dflash-block-size"),
    "dspark": Method("DSPARK", (Need.DSPARK_DRAFT,), flag=GAMMA),
}


def support_of(method: str, build: Build) -> MethodSupport:
    """Whether a build can speculate so, and what that takes."""
    if method == PLAIN:
        return MethodSupport(method, supported=True)
    if method not in METHODS:
        return MethodSupport(method, supported=False, note="SGLang has no such method")
    own = METHODS[method]
    flag = build.help.flag(ALGORITHM)
    lacks = flag is None or not build.help.has(own.flag)
    if lacks or (flag is not None and flag.choices and own.algorithm not in flag.choices):
        return MethodSupport(
            method, supported=False, note=f"SGLang {build.version} does not have it"
        )
    note = "; ".join(f"needs {need.value}" for need in own.needs)
    return MethodSupport(method, supported=True, note=note, needs=own.needs)


def speculating(
    speculation: Speculation, target: str, given: Sequence[str], build: Build
) -> list[str]:
    """The flags of a speculation that is not plain; `target` is the model's folder.

    Of those, `given` by the user are left away.

    Raises:
        UsageError: the build cannot speculate so.
    """
    support = support_of(speculation.method, build)
    if not support.supported:
        raise UsageError(f"SGLang cannot speculate by {speculation.method!r}: {support.note}")
    own = METHODS[speculation.method]
    length = speculation.draft_tokens
    assert length is not None
    if speculation.method in WITH_DRAFT and speculation.draft_model is None:
        raise UsageError(f"method {speculation.method} needs --draft-model: {own.needs[0].value}")
    flags = [(ALGORITHM, own.algorithm)]
    if own.needs:
        draft = speculation.draft_model
        flags.append((DRAFT, target if draft is None else str(draft.absolute())))
    if own.chained:
        flags += [(STEPS, str(length)), (TOPK, "1"), (WIDTH, str(length + 1))]
    elif speculation.method == "dspark":
        flags.append((GAMMA, str(length)))
    else:
        flags.append((WIDTH, str(length + 1)))
    if speculation.method == "ngram":
        # A chain, as with the others, and not a tree of as many tokens.
        flags.append((BREADTH, "1"))
    return [word for name, text in flags if name not in given for word in (f"--{name}", text)]


def simulated(speculation: Speculation) -> dict[str, str]:
    """Environment variables for drafts that are accepted by a draw.

    Raises:
        UsageError: SGLang cannot draw so.
    """
    synthetic = speculation.synthetic
    if synthetic is None:
        return {}
    if synthetic.length is None:
        raise UsageError(
            "SGLang simulates a mean length only (SGLANG_SIMULATE_ACC_LEN), no rates: "
            "--synthetic-acceptance 2.5"
        )
    if not METHODS[speculation.method].chained:
        raise UsageError(f"SGLang does not simulate what it accepts of {speculation.method!r}")
    return {
        "SGLANG_SIMULATE_ACC_LEN": f"{synthetic.length:g}",
        "SGLANG_SIMULATE_ACC_METHOD": "match-expected",
        "SGLANG_SIMULATE_ACC_TOKEN_MODE": "real-draft-token",
    }


def applies(option: str, method: str) -> bool:
    """Whether launches of the method look at an option, by its canonical name."""
    if not option.startswith("speculative-"):
        return True
    for part, owner in (("ngram", "ngram"), ("dflash", "dflash"), ("dspark", "dspark")):
        if option.startswith(f"speculative-{part}-"):
            return method == owner
    if option.startswith("speculative-draft-"):
        return method in METHODS and bool(METHODS[method].needs)
    return method != PLAIN
