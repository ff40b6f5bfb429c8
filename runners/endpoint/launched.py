"""Runners that start a server's program themselves, and then ask it like any other endpoint.

What programs differ in is in their own packages: their flags, how they tell that they are up, and
where they tell of their speculation.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runners.base.contract import (
    Found,
    LaunchSpec,
    Missing,
    OptionValue,
    RunnerError,
    StartError,
)
from runners.base.failure import Manner, first_error, read_end
from runners.base.flag_words import flag_words, known_flag, unknown_option
from runners.base.help import Help
from runners.base.listening import start_on_free_port
from runners.base.packaging import Packaging
from runners.base.process import Process, log_tail
from runners.base.readiness import wait_until_ready
from runners.base.speculation import METHODS
from runners.base.support import MethodSupport
from runners.base.variables import assignments
from runners.endpoint.attach import attach
from runners.endpoint.holder import Held
from runners.endpoint.kinds import KINDS
from runners.endpoint.place import Place
from runners.endpoint.server import Api, EndpointServer
from runners.endpoint.url import read_url

STARTING_S = 60.0
"""These programs import PyTorch in several processes, compile, and capture CUDA graphs."""
GRACE_S = 20.0
"""To end by themselves: they have worker processes and shared memory that only they know of."""
PORT_TAKEN = (
    "Address already in use",
    "address already in use",
    "AddrInUse",
    "Errno 98",
    "Errno 48",
    "Failed to bind socket",
    "Port is already in use",
)
OFFLINE = {"HF_HUB_OFFLINE": "1", "NO_COLOR": "1", "TOKENIZERS_PARALLELISM": "false"}
"""Nothing is looked up in the network."""
NO_REASON = "its log tells no reason"


@dataclass(frozen=True)
class Build:
    """A server's program that answers."""

    words: tuple[str, ...]
    """The command, for the flags to follow."""
    version: str
    help: Help


@dataclass(frozen=True)
class Launch:
    """A command for one configuration, without where it listens."""

    words: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that it counts on."""
    config: str | None = None
    """The text of the configuration file that `words` name."""


class LaunchedServer(ABC):
    """One program."""

    name: str
    """Of the runner; its kind of endpoint is called the same."""
    title: str
    """The program, in messages."""
    manner: Manner
    """How its log reads."""
    ours: Mapping[str, str]
    """Flags that are not the user's to set -> what sets them."""
    keys: Sequence[str] = ()
    """The user's options that are no flags."""
    packagings = (Packaging.HF,)
    attached = False

    def __init__(self, program: str | None = None) -> None:
        """`program` is a file or a command; None: what is found here."""
        self._program = program

    # ---- what each program says for itself ----

    @abstractmethod
    def describe(self) -> Build | Missing:
        """The program that is named, or found here."""

    @abstractmethod
    def support(self, method: str, build: Build) -> MethodSupport: ...

    @abstractmethod
    def launch(self, spec: LaunchSpec, build: Build, config: str) -> Launch:
        """The command of a configuration; `config` is the path of its file, if it has one.

        Raises:
            UsageError: an option, a value or the method does not exist in this build.
        """

    @abstractmethod
    def listening(self, place: Place, build: Build) -> list[str]:
        """The flags that say where it listens, and the model's name."""

    @abstractmethod
    async def is_ours(self, place: Place, spec: LaunchSpec, timeout_s: float) -> bool | None:
        """As `wait_until_ready` wants it.

        Raises:
            RequestError: nothing listens.
        """

    @abstractmethod
    async def unlike(
        self, place: Place, spec: LaunchSpec, server: EndpointServer, log: Path
    ) -> str | None:
        """In what it does not speculate as it was asked to, after a probe request.

        Raises:
            RunnerError: it does not answer.
        """

    def canonical(self, option: str) -> str:
        build = self.describe()
        name = self.plain_name(option)
        flag = None if isinstance(build, Missing) else build.help.flag(name)
        return name if flag is None else flag.name

    def plain_name(self, option: str) -> str:
        """An option as the program spells it, without dashes in front."""
        return option.strip().lstrip("-").replace("_", "-")

    def words(self, name: str, value: OptionValue, build: Build) -> list[str]:
        """One option of the user's as arguments.

        Raises:
            UsageError: the build has no such option, or it is not the user's to set.
        """
        flag = known_flag(name, build.help, self.ours, self.title)
        if flag is None:
            flags = [each.name for each in build.help.flags if each.name not in self.ours]
            raise unknown_option(name, [*flags, *self.keys], f"{self.title} {build.version}")
        return flag_words(name, value, flag, self.title)

    def applies(self, option: str, method: str) -> bool:
        return True

    def served_name(self, spec: LaunchSpec, build: Build) -> str:
        """Under which it serves the model: if it can be told, one that only this launch knows."""
        return f"bench-{secrets.token_hex(4)}"

    def kept_variables(self, build: Build) -> Mapping[str, str]:
        """This process's own variables, without those by which it would not run as it was asked."""
        return os.environ

    def inherited(self) -> dict[str, str]:
        """Those variables of this process that change what the program does: for reproduction."""
        return {}

    # ---- what they have in common ----

    def find(self) -> Found | Missing:
        build = self.describe()
        if isinstance(build, Missing):
            return build
        return Found(
            version=build.version,
            where=" ".join(build.words),
            methods=tuple(self.support(method, build) for method in METHODS),
            acceptance_source=KINDS[self.name].acceptance_source,
            devices=("GPU",),
            starting_s=STARTING_S,
        )

    def _build(self) -> Build:
        build = self.describe()
        if isinstance(build, Missing):
            raise build.error
        return build

    def check(self, spec: LaunchSpec) -> None:
        self.launch(spec, self._build(), "config.yaml")

    def needed_options(
        self, method: str, draft_tokens: Sequence[int]
    ) -> tuple[tuple[str, OptionValue], ...]:
        return ()

    def reproduce(self, spec: LaunchSpec) -> str:
        build = self._build()
        launch = self.launch(spec, build, "config.yaml")
        variables = self.inherited() | dict(launch.variables)
        command = " ".join([*assignments(variables), shlex.join([*build.words, *launch.words])])
        if launch.config is None:
            return command
        return f"printf '%s\\n' {shlex.quote(launch.config)} > config.yaml\n{command}"

    async def start(self, spec: LaunchSpec, log: Path, timeout_s: float) -> EndpointServer:
        build = self._build()
        config = _config_of(log)
        launch = self.launch(spec, build, str(config))
        if launch.config is not None:
            _write(config, launch.config)
        deadline = time.monotonic() + timeout_s
        scratch = Path(tempfile.mkdtemp(prefix="bench-"))
        name = self.served_name(spec, build)
        try:
            process, root = await start_on_free_port(
                lambda port: [
                    *(*build.words, *launch.words),
                    *self.listening(Place(port, name, scratch), build),
                ],
                log=log,
                env={**self.kept_variables(build), **OFFLINE, **launch.variables},
                is_ready=lambda process, port: self._is_ready(
                    process, Place(port, name, scratch), spec, log, deadline
                ),
                grace_s=GRACE_S,
                keep_output=True,
            )
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        held = Held(process, scratch, log, self.manner)
        try:
            place = Place(read_url(root).port, name, scratch)
            server = await attach(
                Api(read_url(root), KINDS[self.name], ours=True),
                name,
                holder=held,
                log=log,
                timeout_s=max(1.0, deadline - time.monotonic()),
            )
            try:
                reason = await self.unlike(place, spec, server, log)
            except RunnerError as error:
                reason = f"cannot tell whether it speculates as asked: {error}"
            if reason is not None:
                raise StartError(reason, log_tail(log))
        except BaseException:
            await held.stop()
            raise
        return server

    async def _is_ready(
        self, process: Process, place: Place, spec: LaunchSpec, log: Path, deadline: float
    ) -> bool:
        return await wait_until_ready(
            process,
            log,
            deadline,
            is_ours=lambda timeout_s: self.is_ours(place, spec, timeout_s),
            why_ended=lambda _: self._why_ended(log),
        )

    def _why_ended(self, log: Path) -> str | None:
        """The reason in words; None where the port was taken."""
        reason = first_error(read_end(log), self.manner)
        said = log_tail(log) if reason is None else reason
        return None if any(words in said for words in PORT_TAKEN) else reason or NO_REASON


def _config_of(log: Path) -> Path:
    """Beside the log, and by its name."""
    return log.absolute().with_suffix(".yaml")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise StartError(f"cannot write {path}: {error.strerror}") from None
