"""Train the drafters that read the target's hidden states: after `train`, in `make tiny-family`.

About 12 minutes on one idle CPU core. The target stays as it is. Needs what `train` needs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from tests.models import corpus
from tests.models.drafters import Drafters, states
from tests.models.network import Trunk
from tests.models.shape import CHECKPOINT, DRAFTERS, TARGET, TOKENIZER
from tests.models.train import MATRIX_RATE, OTHER_RATE, TOKENS, WARM_UP, Windows

SEED = 21
STEPS = 700
LATER_PLACES = 0.5
"""Weight of every place in a draft but the first."""


def trained_target() -> Trunk:
    prefix = "target."
    weights = {
        name.removeprefix(prefix): tensor.float()
        for name, tensor in load_file(CHECKPOINT).items()
        if name.startswith(prefix)
    }
    trunk = Trunk(TARGET)
    trunk.load_state_dict(weights)
    return trunk.requires_grad_(False)


def place(name: str) -> int:
    return int(name.rsplit(maxsplit=1)[-1])


def loss_of(predictions: dict[str, Tensor], target: Tensor) -> Tensor:
    """Cross-entropy with what the target says of the same tokens, in nats, over all drafters."""
    wanted = target.softmax(-1)
    total = torch.zeros(())
    for name, logits in predictions.items():
        weight = 1.0 if place(name) == 1 else LATER_PLACES
        against = wanted[:, place(name) :]
        loss = functional.cross_entropy(logits.flatten(0, 1), against.flatten(0, 1))
        total = total + weight * loss
    return total


@torch.no_grad()
def report(
    drafters: Drafters, trunk: Trunk, tokenizer: Tokenizer, kinds: dict[str, corpus.Corpus]
) -> None:
    """Print how often first choices are the target's, on the documents that were held out."""
    for kind, documents in kinds.items():
        windows = Windows(tokenizer, SEED + 1)
        ids = torch.tensor([windows.ids(documents.held_out)[:TOKENS] for _ in range(24)])
        layers = states(trunk, ids)
        chosen = trunk.logits(layers[-1]).argmax(-1)
        agreed = {
            name: (logits.argmax(-1) == chosen[:, place(name) :]).float().mean().item()
            for name, logits in drafters.predictions(trunk, layers).items()
        }
        print(f"held-out {kind}:", *(f"{name} {share:.3f}" for name, share in agreed.items()))


def train(docutils: Path, path: Path, steps: int = STEPS) -> None:
    """Write the drafters of the checkpoint's target to `path`.

    Raises:
        ValueError: the docutils archive is not the pinned release.
    """
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # Two threads were several times slower on a busy machine.
    code, prose = corpus.code(), corpus.prose(docutils)
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    trunk, drafters = trained_target(), Drafters(TARGET)
    windows = Windows(tokenizer, SEED)
    chosen = [
        torch.optim.Muon(
            [p for p in drafters.parameters() if p.ndim == 2], lr=MATRIX_RATE, weight_decay=0.0
        ),
        torch.optim.AdamW(
            [p for p in drafters.parameters() if p.ndim == 1],
            lr=OTHER_RATE,
            betas=(0.9, 0.95),
            weight_decay=0.0,
        ),
    ]
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / WARM_UP, 1.0) * (1 - step / steps)
        )
        for optimizer in chosen
    ]
    began = time.monotonic()
    for step in range(steps):
        ids = windows.batch(code, prose)[:, :TOKENS]
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                layers = states(trunk, ids)
                said = trunk.logits(layers[-1])
            loss = loss_of(drafters.predictions(trunk, layers), said)
        loss.backward()
        nn.utils.clip_grad_norm_(drafters.parameters(), 1.0)
        for optimizer, schedule in zip(chosen, schedules, strict=True):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        if step % 50 == 0 or step == steps - 1:
            spent = time.monotonic() - began
            print(f"step {step}: loss {loss.item():.3f}, {spent:.0f} s", flush=True)
    weights = {name: t.detach().half() for name, t in drafters.state_dict().items()}
    drafters.load_state_dict(weights)
    report(drafters, trunk, tokenizer, {"code": code, "prose": prose})
    save_file(weights, path, {"tokens": str(steps * ids.numel())})


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python -m tests.models.train_drafters PATH/TO/{corpus.DOCUTILS}")
    train(Path(sys.argv[1]), DRAFTERS)
