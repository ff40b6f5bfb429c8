"""Train the family from nothing: `make tiny-family`, about 20 minutes on one idle CPU core.

Needs the training requirements (requirements-train.txt) and the docutils source archive.
"""

from __future__ import annotations

import os
import platform
import random
import sys
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional

from tests.models import corpus
from tests.models.network import Models
from tests.models.shape import (
    CHECKPOINT,
    DRAFT,
    END_OF_TEXT,
    SPECIAL_TOKENS,
    TARGET,
    TOKENIZER,
    VOCABULARY,
)

SEED = 20
STEPS = 2000
BATCH, TOKENS = 3, 512
PROSE_SHARE = 0.4
WARM_UP = 60
MATRIX_RATE, OTHER_RATE = 0.02, 3e-3
MTP_WEIGHTS = {"mtp 1": 0.4, "mtp 2": 0.3}
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(kinds: tuple[corpus.Corpus, ...]) -> Tokenizer:
    """Byte-level BPE with the rules of Qwen2, which every runner knows."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(QWEN2), "isolated")
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for kind in kinds for text in kind.texts()), trainer)
    return tokenizer


class Windows:
    """Sequences of `TOKENS` ids and the labels after them, cut at random from documents."""

    def __init__(self, tokenizer: Tokenizer, seed: int) -> None:
        self.tokenizer, self.chance = tokenizer, random.Random(seed)

    def ids(self, documents: tuple[corpus.Document, ...]) -> list[int]:
        """[TOKENS + 3]: the MTP head applied twice predicts three tokens ahead."""
        ids: list[int] = []
        weights = [len(document.text) for document in documents]
        while len(ids) < TOKENS + 3:
            (document,) = self.chance.choices(documents, weights)
            ids += self.tokenizer.encode(corpus.window(document, self.chance)).ids
            if ids[-1] != self.tokenizer.token_to_id(END_OF_TEXT) and len(ids) < TOKENS + 3:
                ids.append(self.tokenizer.token_to_id(END_OF_TEXT))
        return ids[: TOKENS + 3]

    def batch(self, code: corpus.Corpus, prose: corpus.Corpus) -> Tensor:
        kinds = (prose if self.chance.random() < PROSE_SHARE else code for _ in range(BATCH))
        return torch.tensor([self.ids(kind.train) for kind in kinds])


def loss_of(predictions: dict[str, Tensor], ids: Tensor) -> tuple[Tensor, Tensor]:
    """The sum to minimise and the target's own loss, in nats a token."""

    def against(logits: Tensor, ahead: int) -> Tensor:
        rows = min(logits.shape[1], ids.shape[1] - ahead)
        return functional.cross_entropy(
            logits[:, :rows].flatten(0, 1), ids[:, ahead : ahead + rows].flatten()
        )

    target = against(predictions["target"], 1)
    total = target
    for ahead, (name, weight) in enumerate(MTP_WEIGHTS.items(), start=2):
        total = total + weight * against(predictions[name], ahead)
    # The draft model learns what the target would say, since that is what it is asked for.
    wanted = predictions["target"].detach().softmax(-1)
    draft = functional.cross_entropy(predictions["draft"].flatten(0, 1), wanted.flatten(0, 1))
    return total + draft, target


def agreement(predictions: dict[str, Tensor]) -> dict[str, float]:
    """How often each drafter's first choice is the target's, on text that is given to both."""
    choices = {name: logits.argmax(-1) for name, logits in predictions.items()}
    target = choices["target"]
    return {
        name: (chosen == target[:, target.shape[1] - chosen.shape[1] :]).float().mean().item()
        for name, chosen in choices.items()
        if name != "target"
    }


@torch.no_grad()
def report(family: Models, tokenizer: Tokenizer, kinds: dict[str, corpus.Corpus]) -> None:
    """Print loss and agreement on the documents that were held out."""
    for kind, documents in kinds.items():
        windows = Windows(tokenizer, SEED + 1)
        ids = torch.tensor([windows.ids(documents.held_out) for _ in range(24)])
        predictions = family.predictions(ids)
        _, loss = loss_of(predictions, ids)
        agreed = " ".join(f"{name} {share:.3f}" for name, share in agreement(predictions).items())
        print(f"held-out {kind}: loss {loss.item():.3f} nats a token; agreement {agreed}")


def optimizers(family: Models) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside, AdamW for embeddings and norms."""
    inside = [p for name, p in family.named_parameters() if p.ndim == 2 and "embed" not in name]
    rest = [p for name, p in family.named_parameters() if p.ndim == 1 or "embed" in name]
    return [
        torch.optim.Muon(inside, lr=MATRIX_RATE, weight_decay=0.0),
        torch.optim.AdamW(rest, lr=OTHER_RATE, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def train(docutils: Path, folder: Path, steps: int = STEPS) -> None:
    """Write the tokenizer and the checkpoint into `folder`.

    Raises:
        ValueError: the docutils archive is not the pinned release.
    """
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # Two threads were several times slower on a busy machine.
    code, prose = corpus.code(), corpus.prose(docutils)
    tokenizer = train_tokenizer((code, prose))
    family = Models(TARGET, DRAFT)
    windows = Windows(tokenizer, SEED)
    chosen = optimizers(family)
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / WARM_UP, 1.0) * (1 - step / steps)
        )
        for optimizer in chosen
    ]
    began = time.monotonic()
    for step in range(steps):
        ids = windows.batch(code, prose)
        with torch.autocast("cpu", torch.bfloat16):
            total, loss = loss_of(family.predictions(ids[:, :TOKENS]), ids)
        total.backward()
        nn.utils.clip_grad_norm_(family.parameters(), 1.0)
        for optimizer, schedule in zip(chosen, schedules, strict=True):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        if step % 50 == 0 or step == steps - 1:
            spent = time.monotonic() - began
            print(f"step {step}: loss {loss.item():.3f}, {spent:.0f} s", flush=True)
    weights = {name: t.detach().half() for name, t in family.state_dict().items()}
    family.load_state_dict(weights)
    report(family, tokenizer, {"code": code, "prose": prose})
    about = {
        "trained_on": f"Python {platform.python_version()} standard library, {corpus.DOCUTILS}",
        "tokens": str(steps * BATCH * TOKENS),
    }
    tokenizer.save(str(folder / TOKENIZER.name))
    save_file(weights, folder / CHECKPOINT.name, about)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python -m tests.models.train PATH/TO/{corpus.DOCUTILS}")
    train(Path(sys.argv[1]), CHECKPOINT.parent)
