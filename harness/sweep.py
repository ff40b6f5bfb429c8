"""Runs a plan: launch, warm up, measure, record; goes on where an earlier session stopped."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from harness.differences import forks_to_probe
from harness.goal import Standing
from harness.measure import Place, ServerLostError, measure
from harness.plan import Batch, Plan
from harness.probing import Prober
from harness.records import Launch, Sample, Session
from harness.run_folder import RunFolder
from harness.spent import Spent, spent_s
from harness.standing import standing
from runners.base.contract import (
    Message,
    Request,
    RequestError,
    Review,
    Runner,
    RunnerError,
    Server,
)
from workloads.prompts import Prompt

WARM_UP = Request(
    messages=(Message("user", "Name the months of the year, each with its number of days."),),
    max_tokens=16,
)
"""Unlike every prompt of a workload, so that it teaches an n-gram pool nothing about them."""

CHECK_S = 30.0
"""How long a runner may take at most over a small request, asked whether it still lives."""

MOST_LAUNCHES = 3
"""Of one arm in one round: a runner that dies on every prompt must not hold up the sweep."""


class Observer(Protocol):
    """Is told what happens; the command line's progress display is one."""

    def launching(self, batch: Batch) -> None: ...

    def launched(self, launch: Launch) -> None: ...

    def measured(self, sample: Sample) -> None: ...

    def probing(self, count: int) -> None:
        """So many places where answers part from plain's are about to be looked at."""

    def chosen(self, round_number: int, arms: Sequence[str]) -> None:
        """Before a round of a tuning: the ids of the arms that it has, plain first."""

    def judged(self, round_number: int, standing: Standing) -> None:
        """After a whole round: how the run stands; unless it is good enough, another follows."""


class Sweep:
    """One session of measuring a plan into a folder."""

    def __init__(
        self, plan: Plan, runners: Mapping[str, Runner], folder: RunFolder, observer: Observer
    ) -> None:
        self._plan = plan
        self._runners = runners
        self._folder = folder
        self._observer = observer
        earlier = folder.read()
        self._done = {sample.key for sample in earlier.samples}
        self._begun = max((sample.round for sample in earlier.samples), default=0)
        self._sequence = 1 + max((sample.sequence for sample in earlier.samples), default=-1)
        self._launch_names = {launch.id for launch in earlier.launches}
        self._broken: set[str] = set()
        self._spent = Spent()

    async def run(self) -> None:
        """Measure everything that is not measured yet. Cancelling ends the runner, then itself.

        Raises:
            DiskError: a line could not be written.
        """
        started_at = _now()
        begun = time.perf_counter()
        finished = False

        def session() -> Session:
            return Session(
                started_at=started_at,
                wall_s=time.perf_counter() - begun,
                loading_s=self._spent.loading_s,
                waiting_s=self._spent.waiting_s,
                interrupted=not finished,
            )

        try:
            if self._plan.suite.budget is not None:
                await self._tune(self._plan.suite.budget, session)
            else:
                for number in self._rounds():
                    for batch in self._plan.round(number):
                        await self._run_rest(batch)
            await self._probe()
            finished = True
        finally:
            self._folder.add(session())

    async def _tune(self, budget_s: float, session: Callable[[], Session]) -> None:
        """Rounds of those arms that what was measured asks for, until enough is known of them.

        The last launch begins before the budget is spent, by earlier sessions too. Each round is
        probed at once: the next one has only arms that are lossless. `session` is this one so far:
        whoever looks at the run later knows of it too, and must come to the same arms.
        """
        from harness.tune.rounds import arms_of_round  # noqa: PLC0415

        budget_s -= spent_s(self._folder.read())
        for number in range(max(1, self._begun), self._plan.suite.most_rounds + 1):
            run = self._folder.read()
            arms = arms_of_round(replace(run, sessions=(*run.sessions, session())), number)
            if not arms or session().wall_s >= budget_s:
                return
            self._observer.chosen(number, arms)
            for batch in self._plan.round(number):
                if batch.arm.id in arms and session().wall_s < budget_s:
                    await self._run_rest(batch)
            await self._probe()

    async def _run_rest(self, batch: Batch) -> None:
        """Measure what an earlier session has not."""
        left = tuple(p for p in batch.prompts if _key(batch, p) not in self._done)
        if left:
            await self._run_batch(replace(batch, prompts=left))

    def _rounds(self) -> Iterator[int]:
        """The rounds in order: the least ones, those that an earlier session had begun, and as many
        as it takes until the run is good enough."""
        suite = self._plan.suite
        before = None
        for number in range(1, suite.most_rounds + 1):
            if number > max(suite.least_rounds, self._begun):
                # A round in which nothing could be measured would be followed by more of them.
                if self._sequence == before or self._is_enough(number - 1):
                    return
                before = self._sequence
            yield number

    def _is_enough(self, round_number: int) -> bool:
        found = standing(self._folder.path, self._plan.suite, self._broken)
        if found is None:
            return True
        self._observer.judged(round_number, found)
        return found.reached

    async def _run_batch(self, batch: Batch) -> None:
        """Measure an arm's prompts, with a new launch where the runner was lost in the middle.

        What is left when the runner has been lost too often stays unmeasured.
        """
        for _ in range(MOST_LAUNCHES):
            if not batch.prompts or batch.arm.id in self._broken:
                return
            batch = replace(batch, prompts=await self._launch_and_measure(batch))

    async def _launch_and_measure(self, batch: Batch) -> tuple[Prompt, ...]:
        """The prompts that are left because the runner was lost.

        An arm that does not start is marked as broken and not launched again in this session.
        """
        self._observer.launching(batch)
        spec = self._plan.spec(batch.arm)
        runner = self._runners[batch.arm.runner]
        name = self._launch_name(batch)
        log = self._folder.log(name)
        timeout_s = self._plan.suite.request_timeout_s
        launch = Launch(
            id=name,
            arm=batch.arm.id,
            round=batch.round,
            started_at=_now(),
            status="ok",
            log=str(log.relative_to(self._folder.path)),
            command=runner.reproduce(spec),
            start_s=0.0,
        )
        begun = time.perf_counter()
        server: Server | None = None
        reason = None
        start_s = warmup_s = 0.0
        try:
            try:
                try:
                    server = await runner.start(spec, log, self._plan.suite.start_timeout_s)
                finally:
                    start_s = time.perf_counter() - begun
                    self._spent.loading_s += start_s
                try:
                    await _warm_up(server, timeout_s)
                finally:
                    warmup_s = time.perf_counter() - begun - start_s
                    self._spent.waiting_s += warmup_s
            except RequestError as error:
                reason = f"the warm-up request failed: {error}"
            except RunnerError as error:
                why = "the server cannot be used" if runner.attached else "it did not start"
                reason = f"{why}: {error}"
            launch = launch.model_copy(
                update={
                    "status": "ok" if reason is None else "failed",
                    "reason": reason,
                    "start_s": start_s,
                    "warmup_s": warmup_s,
                }
            )
            self._folder.add(launch)
            self._observer.launched(launch)
            if server is None or reason is not None:
                self._broken.add(batch.arm.id)
                return batch.prompts
            left = await self._measure_prompts(server, batch, name)
            if not spec.speculation.is_plain:
                await self._review(server, launch)
            return left
        finally:
            if server is not None:
                await server.stop()

    async def _review(self, server: Server, launch: Launch) -> None:
        """Note what the runner's own records say of the drafts: a line in place of the first."""
        try:
            async with asyncio.timeout(CHECK_S):
                review = await server.review()
        except Exception as error:  # Whatever it is, the samples are measured and stay.
            review = Review(remark=f"its records could not be read: {error!r}")
        if review != Review():
            self._folder.add(launch.model_copy(update=vars(review)))

    async def _probe(self) -> None:
        """Ask plain decoding about the places where answers part from its own, if still to do."""
        run = self._folder.read()
        asked = {probe.key for probe in run.probes}
        places = forks_to_probe(
            run.manifest.arms,
            run.samples,
            temperature=self._plan.suite.temperature,
            of_all=run.tuned_from,
        )
        left = [p for p in places if p.key not in asked and p.arm not in self._broken]
        if left:
            self._observer.probing(len(left))
            await Prober(self._plan, self._runners, self._folder, self._spent).probe(left)

    async def _measure_prompts(
        self, server: Server, batch: Batch, launch: str
    ) -> tuple[Prompt, ...]:
        suite = self._plan.suite
        for number, prompt in enumerate(batch.prompts, start=1):
            request = Request(
                messages=tuple(Message(m.role, m.content) for m in prompt.messages),
                max_tokens=batch.max_tokens,
                temperature=suite.temperature,
                seed=self._plan.request_seed(batch.round, prompt),
                timeout_s=suite.request_timeout_s,
            )
            place = Place(
                arm=batch.arm.id,
                round=batch.round,
                workload=prompt.workload,
                prompt=prompt.id,
                max_tokens=batch.max_tokens,
                launch=launch,
                sequence=self._sequence,
            )
            begun = time.perf_counter()
            try:
                sample = await measure(server, request, place, keep_text=suite.keep_text)
                lost = None if sample.status == "ok" else await self._lost(server)
            except ServerLostError as error:
                sample = error.sample
                lost = sample.reason
            except asyncio.CancelledError:
                self._spent.waiting_s += time.perf_counter() - begun
                raise
            self._spent.waiting_s += sample.wall_s
            self._add(sample)
            if lost is not None:
                return batch.prompts[number:]
        return ()

    async def _lost(self, server: Server) -> str | None:
        """After a failed request: why the runner can take no more; None when it can."""
        try:
            await _warm_up(server, min(CHECK_S, self._plan.suite.request_timeout_s))
        except RunnerError as error:
            return f"the runner no longer answers: {error}"
        return None

    def _add(self, sample: Sample) -> None:
        self._folder.add(sample)
        self._sequence += 1
        self._observer.measured(sample)

    def _launch_name(self, batch: Batch) -> str:
        base = f"r{batch.round}-{batch.arm.id}"
        if len(self._plan.suite.max_tokens) > 1:
            base += f"-n{batch.max_tokens}"
        names = (base if again == 1 else f"{base}-{again}" for again in itertools.count(1))
        name = next(name for name in names if name not in self._launch_names)
        self._launch_names.add(name)
        return name


async def _warm_up(server: Server, timeout_s: float) -> None:
    """Have a small request answered.

    Raises:
        RequestError: it was not answered.
    """
    async for _ in server.stream(replace(WARM_UP, timeout_s=timeout_s)):
        pass


def _key(batch: Batch, prompt: Prompt) -> tuple[int, str, str, str, int]:
    return (batch.round, batch.arm.id, prompt.workload, prompt.id, batch.max_tokens)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
