"""`bench sweep`: measure a suite and report it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import options
from harness.cli.aliases import with_old_spellings
from harness.cli.errors import USAGE, complain, reported


@with_old_spellings
def sweep(  # noqa: PLR0917 - typer reads the options off the parameters
    suite: Annotated[
        Path | None,
        typer.Argument(metavar="SUITE.toml", help="A suite file; flags override it."),
    ] = None,
    runner: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[,NAME]",
            help="llama.cpp (the default), llama-cpp-python, vllm, mlx, ollama, openvino, sglang, "
            "tgi, tensorrt-llm, endpoint (a server that already runs, at --url), mock, or a build "
            "that the suite file names. Several are measured over the same prompts in one sweep, "
            "and set beside the first.",
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
    url: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="A server that already runs and speaks OpenAI's API, as in "
            "http://localhost:8080/v1: it is measured as it was started. Alone it is the whole "
            "sweep; with --runner llama.cpp,endpoint it is set beside another runner. Several such "
            "servers are named in a suite file.",
            rich_help_panel=options.WHAT,
        ),
    ] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Environment variable that holds the key for --url: its name, as in "
            "OPENAI_API_KEY, never the key itself, so that no file of the run holds it.",
            rich_help_panel=options.WHAT,
        ),
    ] = None,
    model: options.Model = None,
    draft_model: options.DraftModel = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[,NAME]",
            help="Way of speculating: draft-model, mtp, ngram-simple, ngram-mod, … Give it "
            "several times, or with commas; two joined by + are a chain, as in ngram-mod+mtp. "
            "Plain decoding is always measured too. "
            "`bench doctor` lists what each runner can do.",
            rich_help_panel=options.WHAT,
        ),
    ] = None,
    draft_tokens: options.DraftTokens = None,
    synthetic_acceptance: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH|RATES",
            help="Accept drafts by draw: a mean of tokens a step such as 2.5, or the rate of each "
            "place of the draft as in 0.9,0.6,0.3. It measures the machine apart from the "
            "drafter; the text is void.",
            rich_help_panel=options.WHAT,
        ),
    ] = None,
    workload: options.Workload = None,
    prompts: options.Prompts = None,
    max_tokens: options.MaxTokens = None,
    runner_arg: options.RunnerArg = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Rounds. In each, every setting is launched once, in shuffled order. Default: 3.",
            rich_help_panel=options.HOW,
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Go on round by round until every speed-up's interval is within this, as in 2%.",
            rich_help_panel=options.HOW,
        ),
    ] = None,
    max_rounds: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Rounds after which --precision gives up. Default: 30.",
            rich_help_panel=options.HOW,
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(metavar="T", help="0, the default, is greedy.", rich_help_panel=options.HOW),
    ] = None,
    seed: options.Seed = None,
    bandwidth: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE/s",
            help="Of the memory that the weights are read from, as in 960GB/s: what ceilings stand "
            "on. Default: the GPU's nominal one, else the processor's is measured.",
            rich_help_panel=options.HOW,
        ),
    ] = None,
    request_timeout: options.RequestTimeout = None,
    start_timeout: options.StartTimeout = None,
    no_text: options.NoText = False,
    out: options.Out = None,
    resume: options.Resume = None,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
) -> None:
    """Measure plain decoding against ways of speculating, and write a report.

    Without arguments it measures the demo model in a few minutes. Every setting
    is launched anew in every round, in shuffled order, over the same prompts;
    speed-ups are paired by prompt. Ctrl-C loses at most the request in flight,
    and --resume goes on.

    Examples:

      bench sweep --model qwen.gguf --draft-model qwen-small.gguf --draft-tokens 1-6

      bench sweep --model qwen-mtp.gguf --method mtp --runner-arg spec-draft-p-min=0,0.6

      bench sweep --runner llama.cpp,vllm,mlx --model qwen.gguf --model Qwen3-8B

      bench sweep --url http://localhost:8080/v1

      bench sweep suite.toml --repeats 5 --dry-run
    """
    flags = {
        "runner": options.joined(runner),
        "llama_server": llama_server,
        "mlx": mlx,
        "vllm": vllm,
        "ollama": ollama,
        "sglang": sglang,
        "tgi": tgi,
        "tensorrt_llm": tensorrt_llm,
        "url": url[-1] if url else None,
        "api_key_env": api_key_env,
        "model": options.paths(model),
        "draft_model": options.paths(draft_model),
        "methods": options.joined(method),
        "draft_tokens": draft_tokens,
        "synthetic_acceptance": synthetic_acceptance,
        "workloads": options.joined(workload),
        "prompts": prompts,
        "max_tokens": max_tokens,
        "repeats": repeats,
        "precision": precision,
        "max_rounds": max_rounds,
        "temperature": temperature,
        "seed": seed,
        "bandwidth": bandwidth,
        "request_timeout_s": request_timeout,
        "start_timeout_s": start_timeout,
        "keep_text": False if no_text else None,
    }
    given = options.given(flags)
    with reported():
        if flags["methods"] == ():
            complain("--method names no method; plain decoding is measured by --method none")
            raise typer.Exit(USAGE)
        if url is not None and len(url) > 1:
            complain(
                "--url takes one server; several are named in a suite file, each with its url in a "
                "[runners.NAME]"
            )
            raise typer.Exit(USAGE)
        if resume is not None and (suite is not None or out is not None):
            complain("--resume goes on with the run as it was planned: leave SUITE and --out away")
            raise typer.Exit(USAGE)
        from harness.cli.run_sweep import run_sweep  # noqa: PLC0415

        raise typer.Exit(
            run_sweep(
                suite, given, runner_arg or [], out=out, resume=resume, dry=dry_run, json=as_json
            )
        )
