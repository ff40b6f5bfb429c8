"""Whether a draft model's tokens are the target's, by the rule that llama.cpp holds them to.

The rule is `common_speculative_are_compatible` in common/speculative.cpp; what a file leaves unsaid
is completed as `llama_vocab::impl::load` in src/llama-vocab.cpp does it. Both as of b11434. That is
for GGUF: two folders are compared by their tokenizer.json.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.models.errors import reading
from harness.models.gguf import Header, Strings
from harness.models.tokenizer_json import (
    MOST_DIFFERENCE,
    TOKENIZER,
    shown_text,
    token_difference,
)

FIRST_COMPARED = 5
"""The texts of the ids before this one may differ."""

_KINDS = {
    "no_vocab": "NONE",
    "none": "NONE",
    "llama": "SPM",
    "gpt2": "BPE",
    "hybriddna": "BPE",
    "whitespace": "BPE",
    "gemma4": "BPE",
    "bert": "WPM",
    "t5": "UGM",
    "rwkv": "RWKV",
    "plamo2": "PLAMO2",
}
"""`tokenizer.ggml.model` -> llama.cpp's type of vocabulary."""

_ADDED: dict[str, tuple[bool, bool]] = {
    "NONE": (False, False),
    "SPM": (True, False),
    "WPM": (True, False),
    "UGM": (False, True),
    "RWKV": (False, False),
    "PLAMO2": (False, False),
}
"""Type -> whether a text gets a BOS and an EOS token, where the file does not say."""

_BPE_WITH_BOS = frozenset(
    {"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"}
    | {"jina-v5-nano", "tekken", "chameleon", "gemma4"}
)
_BPE_WITHOUT_BOS = frozenset({"", "default", "gpt-2", "qwen2", "qwen35", "smollm", "gpt-4o"})
"""Pre-tokenizers that certainly add none; of those in neither set nothing is claimed."""

_IDS = {"SPM": (1, 2)}
"""Type -> BOS and EOS, where the file does not say; of other types nothing is claimed."""


@dataclass(frozen=True)
class Vocabulary:
    """What a file says of its tokens. None: it does not say, and what follows is not certain."""

    path: Path
    kind: str | None
    size: int
    add_bos: bool | None
    add_eos: bool | None
    bos: int | None
    eos: int | None
    texts: Strings | None
    """Where the texts lie; they are read only when two vocabularies are compared."""
    tokenizer: Path | None = None
    """The tokenizer.json of a folder, likewise."""


def vocabulary_of(path: Path, header: Header) -> Vocabulary:
    """The vocabulary of the file whose header this is; of a split model, its first part."""
    values = header.values

    def flag(key: str) -> bool | None:
        value = values.get(f"tokenizer.ggml.{key}")
        return value if isinstance(value, bool) else None

    def number(key: str) -> int | None:
        value = values.get(f"tokenizer.ggml.{key}")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    model = values.get("tokenizer.ggml.model")
    kind = _KINDS.get(model) if isinstance(model, str) else None
    pre = "gemma4" if model == "gemma4" else str(values.get("tokenizer.ggml.pre", ""))
    add_bos, add_eos = _added(kind, pre)
    bos, eos = _IDS.get(kind or "", (None, None))
    said = (flag("add_bos_token"), flag("add_eos_token"), number("bos_token_id"))
    texts = header.strings.get("tokenizer.ggml.tokens")
    return Vocabulary(
        path=path,
        kind=kind,
        size=texts.count if texts is not None else 0,
        # llama.cpp overrides what a Gemma 4 says.
        add_bos=add_bos if said[0] is None or pre == "gemma4" else said[0],
        add_eos=add_eos if said[1] is None else said[1],
        bos=bos if said[2] is None else said[2],
        eos=eos if (told := number("eos_token_id")) is None else told,
        texts=texts,
    )


def folder_vocabulary(path: Path, size: int) -> Vocabulary:
    """The vocabulary of a model folder whose config.json says `size`."""
    tokenizer = path / TOKENIZER
    found = tokenizer if tokenizer.is_file() else None
    return Vocabulary(path, None, size, None, None, None, None, None, found)


def _added(kind: str | None, pre: str) -> tuple[bool | None, bool | None]:
    if kind != "BPE":
        return _ADDED.get(kind or "", (None, None))
    if pre in _BPE_WITH_BOS:
        return True, False
    return (False if pre in _BPE_WITHOUT_BOS else None), False


def difference(target: Vocabulary, draft: Vocabulary) -> str | None:
    """How the draft's vocabulary differs from the target's; None where it may draft for it.

    Where a file does not say something, nothing is held against it.

    Raises:
        ModelFileError: a file cannot be read any more.
    """
    if target.tokenizer is not None and draft.tokenizer is not None:
        return token_difference(target.tokenizer, draft.tokenizer)
    if target.kind is not None and draft.kind is not None and target.kind != draft.kind:
        return f"it is of type {draft.kind}, the target's of type {target.kind}"
    added = (
        _added_difference("BOS", (target.add_bos, target.bos), (draft.add_bos, draft.bos)),
        _added_difference("EOS", (target.add_eos, target.eos), (draft.add_eos, draft.eos)),
    )
    if (reason := added[0] or added[1]) is not None:
        return reason
    if target.texts is None or draft.texts is None:
        return None
    if abs(target.size - draft.size) > MOST_DIFFERENCE:
        return (
            f"it has {draft.size:,} tokens, the target {target.size:,}: "
            f"more than {MOST_DIFFERENCE} apart"
        )
    return _text_difference(target, draft)


def _added_difference(
    token: str, target: tuple[bool | None, int | None], draft: tuple[bool | None, int | None]
) -> str | None:
    (target_adds, target_id), (draft_adds, draft_id) = target, draft
    if target_adds is None or draft_adds is None:
        return None
    if target_adds != draft_adds:
        adds, does_not = ("it", "the target") if draft_adds else ("the target", "it")
        return f"{adds} adds the {token} token to a text, {does_not} does not"
    if target_adds and None not in {target_id, draft_id} and target_id != draft_id:
        return f"its {token} token is {draft_id}, the target's {target_id}"
    return None


def _text_difference(target: Vocabulary, draft: Vocabulary) -> str | None:
    """The first token whose text differs."""
    assert target.texts is not None
    assert draft.texts is not None
    ours, theirs = _raw(target), _raw(draft)
    # Lengths and texts, byte by byte: most pairs are equal, and this needs no loop.
    if target.texts.order == draft.texts.order:
        shorter, longer = sorted((_after(ours, target.texts), _after(theirs, draft.texts)), key=len)
        if longer.startswith(shorter):
            return None
    pairs = zip(_texts(ours, target.texts), _texts(theirs, draft.texts), strict=False)
    for token, (our, their) in enumerate(pairs):
        if token >= FIRST_COMPARED and our != their:
            return f"token {token} is {_shown(their)}, the target's {_shown(our)}"
    return None


def _raw(vocabulary: Vocabulary) -> bytes:
    """The array as it lies in the file.

    Raises:
        ModelFileError: the file cannot be read any more.
    """
    assert vocabulary.texts is not None
    with (
        reading(vocabulary.path),
        vocabulary.path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        return data[vocabulary.texts.begin : vocabulary.texts.end]


def _texts(raw: bytes, where: Strings) -> Iterator[bytes]:
    """Every text as llama.cpp compares it: up to a null character, an empty one by its id."""
    order: Literal["little", "big"] = "little" if where.order == "<" else "big"
    at = 0
    for token in range(where.count):
        begin = at + 8
        at = begin + int.from_bytes(raw[at:begin], order)
        text = raw[begin:at]
        yield text.partition(b"\0")[0] if text else b"[EMPTY_%d]" % token


def _after(raw: bytes, where: Strings) -> bytes:
    """What follows the texts that are not compared."""
    order: Literal["little", "big"] = "little" if where.order == "<" else "big"
    at = 0
    for _ in range(min(FIRST_COMPARED, where.count)):
        at += 8 + int.from_bytes(raw[at : at + 8], order)
    return raw[at:]


def _shown(text: bytes) -> str:
    return shown_text(text.decode("utf-8", errors="backslashreplace"))
