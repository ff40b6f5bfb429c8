"""Reads the samples of a run one by one, so that a long run needs neither the time nor the memory
that reading it whole would take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from harness.records import Sample
from harness.run_folder import SAMPLES, RunFolderError, line_fault, repeated

_BURSTS = b'"bursts":[['
"""Nothing but the key: within a JSON string each quote has a backslash before it."""
_NUMBERS = b"0123456789.,[]eE+-"


class SampleStream:
    """The samples in `folder`, in the order of the file; each comes with its number of bursts.

    The samples lack their bursts themselves: most of the time of reading a sample goes into those.
    A last line without its line end is what a kill leaves; it is left out, and `cut_off` is True
    once all others were read.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / SAMPLES
        self.cut_off = False

    def __iter__(self) -> Iterator[tuple[Sample, int]]:
        """Raises RunFolderError: a line that is no sample, or the same request as another one."""
        seen: dict[tuple[object, ...], int] = {}
        try:
            with self._file.open("rb") as lines:
                for number, line in enumerate(lines, start=1):
                    if not line.endswith(b"\n"):
                        self.cut_off = True
                        return
                    rest, bursts = _without_bursts(line)
                    try:
                        sample = Sample.model_validate_json(rest)
                    except ValidationError as error:
                        raise line_fault(self._file, number, Sample, error) from None
                    if sample.bursts:
                        bursts = len(sample.bursts)
                        sample = sample.model_copy(update={"bursts": ()})
                    if (earlier := seen.setdefault(sample.key, number)) != number:
                        raise repeated(self._file, number, earlier)
                    yield sample, bursts
        except FileNotFoundError:
            return
        except OSError as error:
            raise RunFolderError(f"cannot read {self._file}: {error.strerror}") from None


def _without_bursts(line: bytes) -> tuple[bytes, int]:
    """The line with an empty list of bursts, and their number; (line, 0) of any other line."""
    start = line.find(_BURSTS)
    end = line.find(b"]]", start)
    if start < 0 or end < 0:
        return line, 0
    start += len(_BURSTS) - 1
    bursts = line[start : end + 1]
    # Anything but numbers is left for the validation to refuse.
    if bursts.translate(None, _NUMBERS):
        return line, 0
    return line[:start] + line[end + 1 :], bursts.count(b"[")
