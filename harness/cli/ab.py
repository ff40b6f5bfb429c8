"""`bench ab`: measure two builds of a runner in turns, and judge one against the other."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import options
from harness.cli.errors import USAGE, complain, reported

WHO = "Which two"


def ab(  # noqa: PLR0917 - typer reads the options off the parameters
    baseline_runner: Annotated[
        str | None,
        typer.Option(
            metavar="KIND[=PROGRAM]",
            help="What it is held against: a runner, and the binary, environment, command or URL "
            "of it, as in llama.cpp=builds/main/llama-server. Default: llama.cpp, as it is found.",
            rich_help_panel=WHO,
        ),
    ] = None,
    candidate_runner: Annotated[
        str | None,
        typer.Option(
            metavar="KIND[=PROGRAM]",
            help="What is judged, named in the same way. Default: llama.cpp, as it is found.",
            rich_help_panel=WHO,
        ),
    ] = None,
    baseline_arg: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="An option of the baseline alone, by the runner's own name: threads=8. Give it "
            "several times for several.",
            rich_help_panel=WHO,
        ),
    ] = None,
    candidate_arg: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="An option of the candidate alone.",
            rich_help_panel=WHO,
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
            help="Exactly N rounds; with --max-rounds, at least N. Default: 6, and on until a loss "
            "of twice the threshold would be found.",
            rich_help_panel=options.HOW,
        ),
    ] = None,
    max_rounds: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="It ends after N rounds even if they are too few to tell. Default: 40.",
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
    """Measure two builds of a runner in turns, and judge one against the other.

    Two binaries, two environments or two sets of options, over the same prompts
    on the same machine: in each round both are launched, one after the other,
    so that what slows the machine slows both. Ends with the verdict of bench
    gate, and its exit status: 0 passed, 1 regressed, 3 inconclusive.

    Examples:

      bench ab --baseline-runner llama.cpp=main/llama-server
      --candidate-runner llama.cpp=pull/llama-server --model qwen.gguf

      bench ab --model qwen.gguf --candidate-arg flash-attn=on
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
            "repeats": repeats,
            "max_rounds": max_rounds,
            "threshold": threshold,
            "seed": seed,
            "request_timeout_s": request_timeout,
            "start_timeout_s": start_timeout,
            "keep_text": False if no_text else None,
        }
    )
    with reported():
        if resume is not None and (
            out is not None or baseline_runner or candidate_runner or baseline_arg or candidate_arg
        ):
            complain(
                "--resume goes on with the two as they were planned: leave them and --out away"
            )
            raise typer.Exit(USAGE)
        from harness.ab import DEFAULT_RUNNER, SideOptions  # noqa: PLC0415
        from harness.cli.run_ab import run_ab  # noqa: PLC0415

        raise typer.Exit(
            run_ab(
                SideOptions(baseline_runner or DEFAULT_RUNNER, tuple(baseline_arg or ())),
                SideOptions(candidate_runner or DEFAULT_RUNNER, tuple(candidate_arg or ())),
                flags,
                runner_arg or [],
                out=out,
                resume=resume,
                dry=dry_run,
                json=as_json,
            )
        )
