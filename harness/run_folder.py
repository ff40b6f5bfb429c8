"""A run on disk: written line by line, so that a killed sweep loses at most the request in flight.

manifest.json    what was to be measured, and on what
samples.jsonl    one line a request: the truth, everything else is derived
launches.jsonl   one line a start of a runner; a second one of the same launch takes its place
probes.jsonl     one line a place where an answer parted from plain's: what plain finds likely there
sessions.jsonl   one line an uninterrupted stretch of measuring
logs/            what the runners wrote
"""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TypeVar

from pydantic import ValidationError

from harness.records import SCHEMA_VERSION, Arm, Launch, Manifest, Probe, Record, Sample, Session

try:
    import fcntl
except ImportError:  # Windows: two sweeps in one folder are then not noticed.
    fcntl = None  # type: ignore[assignment]

MANIFEST = "manifest.json"
SAMPLES = "samples.jsonl"
LAUNCHES = "launches.jsonl"
PROBES = "probes.jsonl"
SESSIONS = "sessions.jsonl"
LOGS = "logs"
FILES: dict[type[Record], str] = {
    Sample: SAMPLES,
    Launch: LAUNCHES,
    Probe: PROBES,
    Session: SESSIONS,
}

R = TypeVar("R", bound=Record)
Keyed = TypeVar("Keyed", Sample, Probe)


class RunFolderError(Exception):
    """A run's folder cannot be made, read or written; the text says why and what to do."""


class DiskError(RunFolderError):
    """A line could not be written (a full disk, say); what was written before is whole."""


@dataclass(frozen=True)
class RunData:
    """A run, read back: everything that analysis and reports look at."""

    manifest: Manifest
    launches: tuple[Launch, ...]
    samples: tuple[Sample, ...]
    sessions: tuple[Session, ...]
    probes: tuple[Probe, ...] = ()

    @property
    def arms(self) -> tuple[Arm, ...]:
        """What a report speaks of: all arms; of a tuning those that it came to, and those that it
        could not."""
        arms = self.manifest.arms
        if self.manifest.suite.budget is None:
            return arms
        launched = {launch.arm for launch in self.launches}
        return tuple(
            arm for arm in arms if arm.impossible or arm.id in launched or arm.id == self.tuned_from
        )

    @property
    def tuned_from(self) -> str | None:
        """Id of the plain arm that all others of a tuning are held against; None of another run."""
        if self.manifest.suite.budget is None:
            return None
        return next(arm.id for arm in self.manifest.arms if arm.is_baseline)

    @property
    def planned(self) -> int:
        """Requests of all rounds that were begun, or are to be in any case."""
        begun = max((sample.round for sample in self.samples), default=0)
        return self.planned_by(len(self.samples), begun)

    def planned_by(self, measured: int, begun: int) -> int:
        """`planned` of a run with so many samples, of so many rounds.

        Whether a run that goes on until it is good enough is at its end, is told by its last
        session, which was not interrupted; else there is a round more to come. Of a tuning nobody
        knows how many requests there will be: those that were sent, and one more until its end.
        """
        suite = self.manifest.suite
        finished = bool(self.sessions) and not self.sessions[-1].interrupted
        if suite.budget is not None:
            return measured if finished else measured + 1
        a_round = self.manifest.planned // suite.least_rounds
        rounds = max(suite.least_rounds, begun)
        if not finished and rounds < suite.most_rounds and measured >= rounds * a_round:
            rounds += 1
        return rounds * a_round


class RunFolder:
    """An open run. Make one with `create` or `resume`, and use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, IO[bytes]] = {}

    @classmethod
    def create(cls, path: Path, manifest: Manifest) -> RunFolder:
        """Make the folder and write the manifest.

        Raises:
            RunFolderError: it exists already, or cannot be written.
        """
        check_free(path)
        # Under another name until the manifest is in it: a kill leaves a run, or nothing there.
        partial = path.with_name(f".bench-{os.getpid()}.part")
        try:
            (partial / LOGS).mkdir(parents=True, exist_ok=True)
            (partial / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", "utf-8")
            partial.rename(path)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise RunFolderError(f"cannot write to {path}: {error.strerror}") from None
        return cls(path)._opened()

    @classmethod
    def resume(cls, path: Path) -> RunFolder:
        """Open an existing run to go on with it; a half-written last line is cut off.

        Raises:
            RunFolderError: no run, damaged, or being written by another process.
        """
        read_run(path)
        folder = cls(path)._opened()
        for file in folder._files.values():
            _cut_partial_line(file)
        return folder

    def _opened(self) -> RunFolder:
        try:
            for name in FILES.values():
                # Unbuffered: a line is either with the system or was never written.
                self._files[name] = (self.path / name).open("ab+", buffering=0)
            if fcntl is not None:
                fcntl.flock(self._files[SAMPLES], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise RunFolderError(f"another bench is measuring into {self.path}") from None
        except OSError as error:
            self.close()
            raise RunFolderError(f"cannot write to {self.path}: {error.strerror}") from None
        return self

    def add(self, record: Sample | Launch | Probe | Session) -> None:
        """Append one line and hand it to the system.

        Raises:
            DiskError: it could not be written; the file ends with the line before.
        """
        name = FILES[type(record)]
        file = self._files[name]
        line = record.model_dump_json(exclude_none=True).encode() + b"\n"
        end = file.seek(0, os.SEEK_END)
        try:
            written = file.write(line)
            if written != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            file.truncate(end)
            raise DiskError(
                f"cannot write {self.path / name}: {error.strerror}; "
                f"what was measured is kept, go on with --resume {self.path}"
            ) from None

    def log(self, launch: str) -> Path:
        """Where a launch's runner writes."""
        return self.path / LOGS / f"{launch}.log"

    def read(self) -> RunData:
        """The run as it stands."""
        return read_run(self.path)

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_free(path: Path) -> None:
    """Refuse a path where something is already, or where nothing can be.

    Raises:
        RunFolderError: so it is.
    """
    try:
        path.lstat()
        advice = f", or go on with --resume {path}" if (path / MANIFEST).exists() else ""
    except FileNotFoundError:
        return
    except OSError as error:  # too long a name, a folder that may not be searched
        raise RunFolderError(f"cannot write to {path}: {error.strerror}") from None
    raise RunFolderError(f"{path} exists already: choose another --out{advice}")


def read_run(path: Path) -> RunData:
    """Read a run. A last line without its line end is what a kill leaves: it is left out.

    Raises:
        RunFolderError: no run, another schema version, or a line that is not what it should be.
    """
    rest = read_all_but_samples(path)
    return replace(rest, samples=_distinct(path / SAMPLES, _read_lines(path / SAMPLES, Sample)))


def read_all_but_samples(path: Path) -> RunData:
    """The run with no sample in it: `harness.run_stream` reads those one by one.

    Raises:
        RunFolderError: as `read_run`.
    """
    return RunData(
        manifest=_read_manifest(path),
        launches=_latest(_read_lines(path / LAUNCHES, Launch)),
        samples=(),
        sessions=_read_lines(path / SESSIONS, Session),
        probes=_distinct(path / PROBES, _read_lines(path / PROBES, Probe)),
    )


def _read_manifest(path: Path) -> Manifest:
    file = path / MANIFEST
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        if not path.exists():
            raise RunFolderError(f"there is no folder {path}") from None
        raise RunFolderError(f"{path} holds no run: there is no {MANIFEST} in it") from None
    except NotADirectoryError:
        raise RunFolderError(f"{path} is a file: give the folder of a run") from None
    except UnicodeDecodeError as error:
        raise RunFolderError(f"cannot read {file}: {error}") from None
    except OSError as error:
        raise RunFolderError(f"cannot read {file}: {error.strerror}") from None
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        if fault["loc"] == ("schema_version",) and isinstance(fault["input"], int):
            raise RunFolderError(
                f"{file} has schema version {fault['input']}, and this decodebench reads "
                f"{SCHEMA_VERSION}: use the one that wrote it"
            ) from None
        place = ".".join(map(str, fault["loc"]))
        place = f"{place}: " if place else ""
        raise RunFolderError(
            f"{file} is no manifest of schema version {SCHEMA_VERSION}: {place}{fault['msg']}"
        ) from None


def _read_lines(file: Path, kind: type[R]) -> tuple[R, ...]:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise RunFolderError(f"cannot read {file}: {error.strerror}") from None
    records = []
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            records.append(kind.model_validate_json(line))
        except ValidationError as error:
            raise line_fault(file, number, kind, error) from None
    return tuple(records)


def line_fault(
    file: Path, number: int, kind: type[Record], error: ValidationError
) -> RunFolderError:
    """What to say of a line that is none of its kind."""
    fault = error.errors()[0]
    place = ".".join(str(part) for part in fault["loc"])
    again = "; under --resume it is measured again" if kind in (Sample, Probe) else ""
    return RunFolderError(
        f"{file}, line {number}: not a {kind.__name__.lower()}: "
        f"{f'{place}: ' if place else ''}{fault['msg']}\n"
        f"Delete that line{again}."
    )


def _latest(launches: tuple[Launch, ...]) -> tuple[Launch, ...]:
    """Each launch once, as its last line has it, in the order of the first lines."""
    return tuple({launch.id: launch for launch in launches}.values())


def _distinct(file: Path, records: tuple[Keyed, ...]) -> tuple[Keyed, ...]:
    seen: dict[tuple[object, ...], int] = {}
    for number, record in enumerate(records, start=1):
        if record.key in seen:
            raise repeated(file, number, seen[record.key])
        seen[record.key] = number
    return records


def repeated(file: Path, number: int, earlier: int) -> RunFolderError:
    """What to say of a line whose request another line holds already."""
    return RunFolderError(
        f"{file}, line {number}: the same request as line {earlier}; delete one of the two lines"
    )


def _cut_partial_line(file: IO[bytes]) -> None:
    file.seek(0)
    data = file.read()
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        file.truncate(whole)
