"""Write the family in every packaging: `python -m tests.models.export FOLDER`. No PyTorch."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.models import gguf_files, hugging_face
from tests.models.shape import (
    CHECKPOINT,
    DRAFT,
    SPECIAL_TOKENS,
    TARGET,
    TOKENIZER,
    VOCABULARY,
)
from tests.models.vocabulary import read_vocabulary
from tests.models.weights import read_weights


@dataclass(frozen=True)
class Family:
    """Where each packaging lies. One trunk, so greedy tokens are the same in all of them."""

    qwen35_mtp: Path
    """GGUF, the target with its MTP head."""
    qwen3: Path
    """GGUF, the target alone."""
    draft: Path
    """GGUF, the draft model."""
    other_vocabulary: Path
    """GGUF, the draft model under other token ids: good by itself, refused as a draft."""
    stripped_mtp: Path
    """GGUF, `qwen35_mtp` whose header promises an MTP head that is not there."""
    qwen35_mtp_hf: Path
    qwen3_hf: Path
    draft_hf: Path
    """Hugging Face directories of the first three."""


def export(folder: Path) -> Family:
    """Write all packagings, about 45 MB in a second, into `folder`, which is made if need be.

    Raises:
        FileExistsError: a packaging is there already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    family = Family(
        qwen35_mtp=folder / "qwen35-mtp.gguf",
        qwen3=folder / "qwen3.gguf",
        draft=folder / "draft.gguf",
        other_vocabulary=folder / "other-vocabulary.gguf",
        stripped_mtp=folder / "stripped-mtp.gguf",
        qwen35_mtp_hf=folder / "qwen35-mtp-hf",
        qwen3_hf=folder / "qwen3-hf",
        draft_hf=folder / "draft-hf",
    )
    weights = read_weights(CHECKPOINT)
    target, mtp, draft = weights["target"], weights["mtp"], weights["draft"]
    vocabulary = read_vocabulary(TOKENIZER)

    hugging_face.write_qwen35(family.qwen35_mtp_hf, TARGET, target, mtp)
    hugging_face.write_qwen3(family.qwen3_hf, TARGET, target)
    hugging_face.write_qwen3(family.draft_hf, DRAFT, draft)

    gguf_files.write_qwen35(family.qwen35_mtp, TARGET, target, mtp, vocabulary)
    gguf_files.write_qwen35(family.stripped_mtp, TARGET, target, None, vocabulary)
    gguf_files.write_qwen3(family.qwen3, TARGET, target, vocabulary)
    gguf_files.write_qwen3(family.draft, DRAFT, draft, vocabulary)

    special = len(SPECIAL_TOKENS)
    order = (*range(special), *reversed(range(special, VOCABULARY)))
    other = draft | {"embed_tokens.weight": draft["embed_tokens.weight"][list(order)]}
    gguf_files.write_qwen3(family.other_vocabulary, DRAFT, other, vocabulary.reordered(order))
    return family


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.models.export FOLDER")
    export(Path(sys.argv[1]))
