"""`bench selftest`: measure a build against itself, and report the false alarms."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import options
from harness.cli.errors import USAGE, complain, reported

ROUNDS = 12
"""As many as a gate needs for 5% with the noise of an ordinary machine; 4,096 labellings."""


def selftest(  # noqa: PLR0917 - typer reads the options off the parameters
    runner: Annotated[
        str | None,
        typer.Option(
            metavar="KIND[=PROGRAM]",
            help="What is measured against itself: a runner, and the binary, environment, command "
            "or URL of it. Default: llama.cpp, as it is found.",
            rich_help_panel=options.WHAT,
        ),
    ] = None,
    model: options.Model = None,
    draft_model: options.DraftModel = None,
    method: options.MethodBesidePlain = None,
    draft_tokens: options.DraftTokens = None,
    workload: options.Workload = None,
    prompts: options.Prompts = None,
    max_tokens: options.MaxTokens = None,
    runner_arg: options.RunnerArg = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=3,
            help=f"Rounds. Default: {ROUNDS}.",
            rich_help_panel=options.HOW,
        ),
    ] = None,
    threshold: options.Threshold = None,
    seed: options.Seed = None,
    request_timeout: options.RequestTimeout = None,
    start_timeout: options.StartTimeout = None,
    no_text: options.NoText = False,
    out: options.Out = None,
    resume: options.Resume = None,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
) -> None:
    """Measure a build against itself, and report the false alarms.

    What bench ab would measure, with the same build on both sides: every
    difference is noise. Tells how noisy this machine is, how many rounds a
    threshold takes here, and how often the gate would have cried wolf: the
    rounds are judged under up to 2,000 other labellings too. Exit status 1
    where more than 1% of them, or the run itself, were called regressed.

    Examples:

      bench selftest

      bench selftest --model qwen.gguf --runner-arg threads=7 --repeats 20
    """
    flags = options.given(
        {
            "model": options.paths(model),
            "draft_model": options.paths(draft_model),
            "methods": options.joined(method),
            "draft_tokens": draft_tokens,
            "workloads": options.joined(workload),
            "prompts": prompts,
            "max_tokens": max_tokens,
            "repeats": ROUNDS if repeats is None and resume is None else repeats,
            "threshold": threshold,
            "seed": seed,
            "request_timeout_s": request_timeout,
            "start_timeout_s": start_timeout,
            "keep_text": False if no_text else None,
        }
    )
    with reported():
        if resume is not None and (out is not None or runner is not None):
            complain("--resume goes on with the run as it was planned: leave --runner, --out away")
            raise typer.Exit(USAGE)
        from harness.ab import DEFAULT_RUNNER, SideOptions  # noqa: PLC0415
        from harness.cli.run_ab import run_selftest  # noqa: PLC0415

        raise typer.Exit(
            run_selftest(
                SideOptions(runner or DEFAULT_RUNNER),
                flags,
                runner_arg or [],
                out=out,
                resume=resume,
                dry=dry_run,
                json=as_json,
            )
        )
