"""Which arms can work, and with what draft length: known before anything is launched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.compatibility import Files, reason_against
from harness.draft_length import length_of
from harness.models.shelf import Shelf
from harness.records import Arm
from runners.base.contract import Missing, Runner
from runners.base.speculation import parts_of
from runners.base.support import MethodSupport

PLAIN_WORD = "plain"

Supports = Mapping[str, MethodSupport]


def judge(arms: Iterable[Arm], runners: Mapping[str, Runner], shelf: Shelf) -> list[Arm]:
    """The arms as they can be had: each with its real draft length, or why it cannot work.

    Arms of which the runner makes the same become one, which names the lengths `asked` for. A
    runner that is missing, or that reads no model files, is not held against anything.

    Raises:
        ModelFileError: a model cannot be read.
    """
    arms = list(arms)
    used = dict.fromkeys(arm.runner for arm in arms if arm.draft_tokens is not None)
    supports = {name: _supports(runners[name]) for name in used}
    # Of one draft and one target the answer is the same at each length: vocabularies are large.
    reasons: dict[Arm, str | None] = {}
    merged: dict[Arm, list[Arm]] = {}
    for arm in arms:
        judged = _judged(arm, supports.get(arm.runner), shelf, reasons)
        merged.setdefault(judged.model_copy(update={"asked": (), "limit": None}), []).append(judged)
    return [_one(arm, found) for arm, found in merged.items()]


def _supports(runner: Runner) -> Supports | None:
    if not runner.packagings:
        return None
    found = runner.find()
    if isinstance(found, Missing):
        return None
    return {support.method: support for support in found.methods}


def _judged(
    arm: Arm, supports: Supports | None, shelf: Shelf, reasons: dict[Arm, str | None]
) -> Arm:
    asked = arm.draft_tokens
    if asked is None or arm.impossible is not None:
        return arm
    fixed = 0
    if supports is not None and arm.model is not None:
        draft = None if arm.draft_model is None else shelf.file(arm.draft_model)
        files = Files(shelf.file(arm.model), draft)
        parts = {
            part: supports.get(part, MethodSupport(part, supported=False))
            for part in parts_of(arm.method)
        }
        alike = arm.model_copy(update={"draft_tokens": None, "synthetic": None, "options": ()})
        if alike not in reasons:
            found = (reason_against(support, files) for support in parts.values())
            reasons[alike] = next((reason for reason in found if reason is not None), None)
        if reasons[alike] is not None:
            return arm.model_copy(update={"impossible": reasons[alike]})
        fixed = max(support.fixed_length or 0 for support in parts.values())
        length = length_of(parts, asked, files)
        if length.tokens < 1:
            return arm.model_copy(update={"impossible": f"{length.limit} leaves nothing to draft"})
        arm = arm.model_copy(
            update={"draft_tokens": length.tokens, "asked": (asked,), "limit": length.limit}
        )
    if arm.synthetic is not None and arm.draft_tokens is not None:
        # Rates must do for the longest draft that any part of a chain makes.
        longest = max(arm.draft_tokens, fixed if arm.synthetic.rates else 0)
        reason = arm.synthetic.reason_against(longest)
        arm = arm.model_copy(update={"impossible": reason})
    return arm


def _one(arm: Arm, found: Sequence[Arm]) -> Arm:
    """`found` are what became the same arm."""
    asked = tuple(sorted({length for one in found for length in one.asked}))
    limit = next((one.limit for one in found if one.limit is not None), None)
    return arm if limit is None else arm.model_copy(update={"asked": asked, "limit": limit})


def left_out(arms: Iterable[Arm]) -> list[str]:
    """A line for everything that cannot work: 'mtp k=2, 4: target.gguf holds no MTP heads; …'.

    Where the arms have several runners it begins with the one that is meant, which stands alone
    where nothing of it can work, for one reason.
    """
    arms = list(arms)
    of_runner: dict[str, set[str | None]] = {}
    for arm in arms:
        of_runner.setdefault(arm.runner, set()).add(arm.impossible)
    lengths: dict[tuple[str, str], list[int]] = {}
    for arm in arms:
        if arm.impossible is None:
            continue
        parts = [arm.runner] if len(of_runner) > 1 else []
        if not parts or len(of_runner[arm.runner]) > 1:
            what = PLAIN_WORD if arm.draft_tokens is None else arm.method
            parts.append(what if arm.synthetic is None else f"{what} {arm.synthetic.label}")
        numbers = lengths.setdefault((", ".join(parts), arm.impossible), [])
        if arm.draft_tokens is not None and (len(of_runner) == 1 or len(parts) > 1):
            numbers.append(arm.draft_tokens)
    return [
        # 'mlx reads …' names the runner by itself.
        reason if reason.startswith(f"{what} ") else f"{what}{_lengths(numbers)}: {reason}"
        for (what, reason), numbers in lengths.items()
    ]


def _lengths(numbers: Sequence[int]) -> str:
    return f" k={', '.join(map(str, dict.fromkeys(numbers)))}" if numbers else ""
