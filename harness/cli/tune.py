"""`bench tune`: find the fastest lossless setting in few measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import options
from harness.cli.errors import USAGE, complain, reported


def tune(  # noqa: PLR0917 - typer reads the options off the parameters
    runner: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The runner to tune: llama.cpp (the default), llama-cpp-python, vllm, mlx, "
            "ollama, openvino, sglang, tgi, tensorrt-llm or mock.",
            rich_help_panel=options.WHAT,
        ),
    ] = None,
    llama_server: options.LlamaServer = None,
    mlx: options.Mlx = None,
    vllm: options.Vllm = None,
    ollama: options.Ollama = None,
    sglang: options.Sglang = None,
    tgi: options.Tgi = None,
    tensorrt_llm: options.TensorrtLlm = None,
    model: options.Model = None,
    draft_model: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Small model that drafts for it, or a file of MTP heads or the like. Given "
            "several times, the best of them is looked for; packagings of one model are one.",
            rich_help_panel=options.WHAT,
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[,NAME]",
            help="Ways of speculating to choose from; two joined by + are a chain, as in "
            "ngram-mod+mtp. Default: all that can work with the runner and the model.",
            rich_help_panel=options.WHAT,
        ),
    ] = None,
    draft_tokens: Annotated[
        str | None,
        typer.Option(
            metavar="K",
            help="Draft lengths to choose from. Default: 1-8,12,16, of ngram-simple from 4 on.",
            rich_help_panel=options.WHAT,
        ),
    ] = None,
    workload: options.Workload = None,
    prompts: options.Prompts = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Longest answer. Default: 256 (demo: 64).",
            rich_help_panel=options.WHAT,
        ),
    ] = None,
    runner_arg: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE[,VALUE]",
            help="Any option of the runner by the runner's own name; one with several values is "
            "free, as in spec-draft-p-min=0,0.6: the best of them is looked for too.",
            rich_help_panel=options.WHAT,
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="The last launch begins before so long, as in 90s, 10m or 1h. Default: 10m. It "
            "ends earlier when enough is known; with --resume, it counts the time so far.",
            rich_help_panel=options.HOW,
        ),
    ] = None,
    goal: Annotated[
        str | None,
        typer.Option(
            metavar="GOAL",
            help="What is to be fast, of one request at a time: decode (tokens per second after "
            "the first; the default), throughput (tokens per second of the whole request, prefill "
            "included; not that of many at once) or ttft (the time to the first token).",
            rich_help_panel=options.HOW,
        ),
    ] = None,
    seed: options.Seed = None,
    request_timeout: options.RequestTimeout = None,
    start_timeout: options.StartTimeout = None,
    no_text: options.NoText = False,
    out: options.Out = None,
    resume: options.Resume = None,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
) -> None:
    """Find the fastest lossless setting for this machine and this text, in minutes.

    Measures plain decoding and a few settings of each kind, tells the others by a
    curve, and goes on with those that may be the best until they are told apart.
    What it recommends is proven faster than plain and writes plain's text; where
    nothing is, it says so. What is tuned is the decode rate of one request at a time, or
    what --goal names.

    Examples:

      bench tune --model qwen.gguf --draft-model qwen-small.gguf

      bench tune --model qwen-mtp.gguf --method mtp,ngram-mod+mtp --budget 30m
      --runner-arg spec-draft-p-min=0,0.6
    """
    flags = options.given(
        {
            "runner": runner,
            "llama_server": llama_server,
            "mlx": mlx,
            "vllm": vllm,
            "ollama": ollama,
            "sglang": sglang,
            "tgi": tgi,
            "tensorrt_llm": tensorrt_llm,
            "model": options.paths(model),
            "draft_model": options.paths(draft_model),
            "methods": options.joined(method),
            "draft_tokens": draft_tokens,
            "workloads": options.joined(workload),
            "prompts": prompts,
            "max_tokens": max_tokens,
            "budget": budget,
            "goal": goal,
            "seed": seed,
            "request_timeout_s": request_timeout,
            "start_timeout_s": start_timeout,
            "keep_text": False if no_text else None,
        }
    )
    with reported():
        if flags.get("methods") == ():
            complain("--method names no method")
            raise typer.Exit(USAGE)
        if resume is not None and out is not None:
            complain("--resume goes on with the run as it was planned: leave --out away")
            raise typer.Exit(USAGE)
        from harness.cli.run_tune import run_tune  # noqa: PLC0415

        raise typer.Exit(
            run_tune(flags, runner_arg or [], out=out, resume=resume, dry=dry_run, json=as_json)
        )
