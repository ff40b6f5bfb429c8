"""Asks plain decoding what it finds likely where answers parted from its own, of any runner."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.differences import Fork
from harness.plan import Plan
from harness.records import Arm, Probe
from harness.run_folder import RunFolder
from harness.spent import Spent
from runners.base.contract import Message, Request, RequestError, Runner, RunnerError, Server

TOP = 10
"""Tokens asked for: two that are nearly tied stand at the very top."""

NOT_EXPOSED = "the runner does not tell how likely a token is"


class Prober:
    """Probes the places of one session, with one launch for each plain arm."""

    def __init__(
        self, plan: Plan, runners: Mapping[str, Runner], folder: RunFolder, spent: Spent
    ) -> None:
        self._plan = plan
        self._runners = runners
        self._folder = folder
        self._spent = spent
        self._prompts = {(prompt.workload, prompt.id): prompt for prompt in plan.prompts}

    async def probe(self, places: Sequence[Fork]) -> None:
        """Record a probe, or why there is none, for each place.

        Raises:
            DiskError: a line could not be written.
        """
        arms = {arm.id: arm for arm in self._plan.arms}
        for arm_id, own in itertools.groupby(sorted(places, key=_arm_of), key=_arm_of):
            await self._launch_and_probe(arms[arm_id], tuple(own))

    async def _launch_and_probe(self, arm: Arm, places: Sequence[Fork]) -> None:
        log = self._log(arm)
        server: Server | None = None
        try:
            try:
                with self._spent.loading():
                    server = await self._runners[arm.runner].start(
                        self._plan.spec(arm), log, self._plan.suite.start_timeout_s
                    )
            except RunnerError as error:
                for place in places:
                    self._add(place, log, reason=f"it did not start: {error}")
                return
            for place in places:
                if not await self._ask(server, place, log):
                    return
        finally:
            if server is not None:
                await server.stop()

    async def _ask(self, server: Server, place: Fork, log: Path) -> bool:
        """False when the runner was lost: what was not asked is left to the next session."""
        prompt = self._prompts[place.workload, place.prompt]
        request = Request(
            messages=tuple(Message(m.role, m.content) for m in prompt.messages),
            max_tokens=1,
            timeout_s=self._plan.suite.request_timeout_s,
        )
        try:
            with self._spent.waiting():
                found = await server.next_tokens(request, place.written, TOP)
        except RunnerError as error:
            self._add(place, log, reason=str(error))
            return not (isinstance(error, RequestError) and error.server_lost)
        if found is None:
            self._add(place, log, reason=NOT_EXPOSED)
            return True
        top = tuple((t.token, t.logprob) for t in found if math.isfinite(t.logprob))
        if top:
            self._add(place, log, top=top)
        else:
            self._add(place, log, reason="the runner told of no token")
        return True

    def _add(
        self,
        place: Fork,
        log: Path,
        *,
        top: tuple[tuple[int, float], ...] | None = None,
        reason: str | None = None,
    ) -> None:
        self._folder.add(
            Probe(
                arm=place.arm,
                workload=place.workload,
                prompt=place.prompt,
                prefix=len(place.written),
                prefix_sha256=place.written_sha256,
                log=str(log.relative_to(self._folder.path)),
                top=top,
                reason=reason,
            )
        )

    def _log(self, arm: Arm) -> Path:
        """A log that no earlier session has written."""
        base = f"probe-{arm.id}"
        names = (base if again == 1 else f"{base}-{again}" for again in itertools.count(1))
        return next(log for log in map(self._folder.log, names) if not log.exists())


def _arm_of(place: Fork) -> str:
    return place.arm
