"""Options that several commands have, in the words of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

WHAT = "What to measure"
HOW = "How to measure"
WHERE = "Where to put it"

Model = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="PATH",
        help="The model: a GGUF file, or the folder of a Hugging Face or MLX model. Once for "
        "each packaging that the runners need: each takes the one that it reads. "
        "Default: the demo model, if it is installed.",
        rich_help_panel=WHAT,
    ),
]
DraftModel = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="PATH",
        help="Small model that drafts for it; also once for each packaging.",
        rich_help_panel=WHAT,
    ),
]
LlamaServer = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="A llama-server binary of your own, or its name on PATH. "
        "Default: the embedded server.",
        rich_help_panel=WHAT,
    ),
]
Mlx = Annotated[
    str | None,
    typer.Option(
        metavar="PYTHON",
        help="The Python of an environment that has mlx-lm, or an mtplx, for --runner mlx.",
        rich_help_panel=WHAT,
    ),
]
Vllm = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND",
        help="vLLM: a `vllm` on PATH or at a path, the Python of an environment that has it, "
        "or a whole command in quotes.",
        rich_help_panel=WHAT,
    ),
]
Ollama = Annotated[
    str | None,
    typer.Option(
        metavar="PATH|URL",
        help="For --runner ollama: an `ollama` to start, or the URL of one that runs, as "
        "in http://localhost:11434. Default: the one on PATH.",
        rich_help_panel=WHAT,
    ),
]
Sglang = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND",
        help="For --runner sglang: an `sglang` on PATH or at a path, the Python of an "
        "environment that has it, or a whole command in quotes.",
        rich_help_panel=WHAT,
    ),
]
Tgi = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND",
        help="For --runner tgi: a `text-generation-launcher` on PATH or at a path, or a whole "
        "command in quotes.",
        rich_help_panel=WHAT,
    ),
]
TensorrtLlm = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND",
        help="For --runner tensorrt-llm: a `trtllm-serve` on PATH or at a path, or a whole "
        "command in quotes.",
        rich_help_panel=WHAT,
    ),
]
MethodBesidePlain = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        metavar="NAME[,NAME]",
        help="Way of speculating, to be measured beside plain decoding: draft-model, mtp, "
        "ngram-mod, … Default: plain decoding alone; with a draft model, draft-model too.",
        rich_help_panel=WHAT,
    ),
]
DraftTokens = Annotated[
    str | None,
    typer.Option(
        metavar="K",
        help="Draft lengths, such as 1-4,6,8. Default: 2,4,8 (demo: 4,8,12).",
        rich_help_panel=WHAT,
    ),
]
Workload = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[,NAME]",
        help="coding, structured, prose, summary, or a file of your own prompts (JSONL; "
        "HumanEval, MT-Bench and Spec-Bench files work as they are). Default: coding,prose.",
        rich_help_panel=WHAT,
    ),
]
Prompts = Annotated[
    str | None,
    typer.Option(
        metavar="N|all",
        help="Prompts of each workload. Default: 4 (demo: 2).",
        rich_help_panel=WHAT,
    ),
]
MaxTokens = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Longest answer; several, as in 128,1024, are swept. Default: 256 (demo: 64).",
        rich_help_panel=WHAT,
    ),
]
RunnerArg = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[RUNNER:]NAME=VALUE[,VALUE]",
        help="Any option of the runner by the runner's own name, as in "
        "cache-type-k=f16,q8_0 or spec-draft-p-min=0.6. Several values are swept, "
        "crossed with everything else. Of several runners it goes to each, or to one alone, "
        "as in vllm:dtype=float32.",
        rich_help_panel=WHAT,
    ),
]
Threshold = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE",
        help="The loss that is put up with, as in 5%, which is the default.",
        rich_help_panel=HOW,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Of the shuffling, and of sampling. Default: 1.", rich_help_panel=HOW
    ),
]
RequestTimeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS", help="Limit for one request. Default: 300.", rich_help_panel=HOW
    ),
]
StartTimeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="Limit for one start of a runner. Default: 600.",
        rich_help_panel=HOW,
    ),
]
NoText = Annotated[
    bool,
    typer.Option("--no-text", help="Keep only a hash of each answer.", rich_help_panel=HOW),
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder of the run. Default: results/NAME-DATE-TIME.",
        rich_help_panel=WHERE,
    ),
]
Resume = Annotated[
    Path | None,
    typer.Option(
        metavar="RUN",
        help="Go on with an interrupted run; its plan stays as it was.",
        rich_help_panel=WHERE,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Print the plan and the time it takes; measure nothing.",
        rich_help_panel=WHERE,
    ),
]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print the plan or the results as JSON.", rich_help_panel=WHERE),
]


def given(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Those that the user gave."""
    return {name: value for name, value in flags.items() if value is not None}


def joined(values: list[str] | None) -> tuple[str, ...] | None:
    """Options given several times, or once with commas."""
    if values is None:
        return None
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())


def paths(given: list[Path] | None) -> tuple[str, ...] | None:
    """As a suite's settings hold them."""
    return None if given is None else tuple(map(str, given))
