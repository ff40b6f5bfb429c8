"""Reads the samples of a run one by one, so that a long run needs neither the time nor the memory
that reading it whole would take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
from pydantic import ValidationError

from harness.records import Sample
from harness.run_folder import SAMPLES, RunFolderError, line_fault, repeated

_NUMBERS = b"0123456789.,[]eE+- "
"""Of anything else in the bursts, a whole reading says what is wrong."""
_BEGINS = (b"[", b"")
_BUFFER = 1 << 20
"""Bytes read at a time: a line has some thousands of them."""


class SampleStream:
    """The samples in `folder`, in the order of the file; each comes with its number of bursts.

    The samples lack their bursts themselves: most of the time of reading a sample goes into those.
    They have the fields and the key of a `Sample` and no other method, since making a validated
    record of each takes twice the time. A last line without its line end is what a kill leaves; it
    is left out, and `cut_off` is True once all others were read.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / SAMPLES
        self.cut_off = False

    def __iter__(self) -> Iterator[tuple[Sample, int]]:
        """Raises RunFolderError: a line that is no sample, or the same request as another one."""
        seen: dict[tuple[object, ...], int] = {}
        try:
            with self._file.open("rb", buffering=_BUFFER) as lines:
                for number, line in enumerate(lines, start=1):
                    if not line.endswith(b"\n"):
                        self.cut_off = True
                        return
                    sample, bursts = self._read(line, number)
                    if (earlier := seen.setdefault(sample.key, number)) != number:
                        raise repeated(self._file, number, earlier)
                    yield sample, bursts
        except FileNotFoundError:
            return
        except OSError as error:
            raise RunFolderError(f"cannot read {self._file}: {error.strerror}") from None

    def _read(self, line: bytes, number: int) -> tuple[Sample, int]:
        try:
            one = _DECODER.decode(line)
        except msgspec.MsgspecError:
            pass  # Damaged, or spelled as only the record's own validation reads it.
        else:
            bursts = bytes(one.bursts)
            if bursts[:1] in _BEGINS and not bursts.translate(None, _NUMBERS):
                return cast("Sample", one), max(bursts.count(b"[") - 1, 0)
        try:
            sample = Sample.model_validate_json(line)
        except ValidationError as error:
            raise line_fault(self._file, number, Sample, error) from None
        return sample.model_copy(update={"bursts": ()}), len(sample.bursts)


def _struct_of_sample() -> Any:
    """The fields of a sample, of which the bursts are left as they stand in the line."""
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for name, field in Sample.model_fields.items():
        if name == "bursts":
            fields.append((name, msgspec.Raw, msgspec.Raw(b"")))
        elif field.is_required():
            fields.append((name, field.annotation))
        else:
            fields.append((name, field.annotation, field.default))
    return msgspec.defstruct(
        "_Sample",
        fields,
        namespace={"key": Sample.key},
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,
    )


_DECODER = msgspec.json.Decoder(_struct_of_sample())
