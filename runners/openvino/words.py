"""Why OpenVINO GenAI cannot load a file, in words: its own speak of its source code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

ARCHITECTURES = ("llama", "qwen2", "qwen3")
MATRICES = ("F16", "Q8_0", "Q6_K", "Q4_K", "Q4_1", "Q4_0")
"""Kinds of tensors that 2026.4.1 loads; vectors may be F32."""


@contextmanager
def in_words(path: str) -> Iterator[None]:
    """Turn whatever the package raises while it loads `path` into a `RuntimeError` of one line."""
    try:
        yield
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise RuntimeError(
            f"OpenVINO GenAI cannot load {path}{unread(path)}: {lines[-1].strip()}"
        ) from None


def unread(path: str) -> str:
    """What of a GGUF file is known not to be read: ', whose architecture is …'; '' for nothing."""
    import gguf  # noqa: PLC0415 - slow, and only a failure needs it

    try:
        reader = gguf.GGUFReader(path)
        field = reader.fields.get("general.architecture")
        architecture = str(field.contents()) if field is not None else "not named"
        kinds = Counter(t.tensor_type.name for t in reader.tensors if len(t.shape) > 1)
    except Exception:  # The library's own words have to do.
        return ""
    said = []
    if architecture not in ARCHITECTURES:
        said.append(
            f"whose architecture is {architecture:.40} (it reads {', '.join(ARCHITECTURES)})"
        )
    if others := [kind for kind in kinds if kind not in MATRICES]:
        said.append(f"whose weights are {'/'.join(others)} (it reads {', '.join(MATRICES)})")
    return "".join(f", {words}" for words in said)
