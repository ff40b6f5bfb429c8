"""Write the family in every packaging: `python -m tests.models.export FOLDER`. No PyTorch."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.models import gguf_files, hugging_face
from tests.models.shape import (
    CHECKPOINT,
    DRAFT,
    DRAFTERS,
    EAGLE3_LAYERS,
    SPECIAL_TOKENS,
    TARGET,
    TOKENIZER,
    VOCABULARY,
)
from tests.models.vocabulary import read_vocabulary
from tests.models.weights import read_weights

DEEP_LAYERS = (2, 16, 29)
"""Those that an EAGLE-3 head for a target of 32 layers reads."""


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
    other_vocabulary_hf: Path
    """Hugging Face directory of `other_vocabulary`."""
    eagle_hf: Path
    eagle3_hf: Path
    medusa_hf: Path
    """Hugging Face directories of drafters that read the hidden states of `qwen3_hf`."""
    eagle3_shallow: Path
    """`eagle3_hf` that says it reads layers of a target of 32: `qwen3_hf` has 3. A vLLM that is
    given both starts, and dies at its first request."""


def export(folder: Path) -> Family:
    """Write all packagings, about 60 MB in a second, into `folder`, which is made if need be.

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
        other_vocabulary_hf=folder / "other-vocabulary-hf",
        eagle_hf=folder / "eagle-hf",
        eagle3_hf=folder / "eagle3-hf",
        medusa_hf=folder / "medusa-hf",
        eagle3_shallow=folder / "eagle3-shallow-hf",
    )
    weights = read_weights(CHECKPOINT)
    target, mtp, draft = weights["target"], weights["mtp"], weights["draft"]
    vocabulary = read_vocabulary(TOKENIZER)

    hugging_face.write_qwen35(family.qwen35_mtp_hf, TARGET, target, mtp)
    hugging_face.write_qwen3(family.qwen3_hf, TARGET, target)
    hugging_face.write_qwen3(family.draft_hf, DRAFT, draft)

    drafters = read_weights(DRAFTERS)
    hugging_face.write_eagle(family.eagle_hf, TARGET, drafters["eagle"])
    hugging_face.write_eagle3(family.eagle3_hf, TARGET, drafters["eagle3"], EAGLE3_LAYERS)
    hugging_face.write_eagle3(family.eagle3_shallow, TARGET, drafters["eagle3"], DEEP_LAYERS)
    output = target["embed_tokens.weight"]
    hugging_face.write_medusa(family.medusa_hf, TARGET, drafters["medusa"], output)

    gguf_files.write_qwen35(family.qwen35_mtp, TARGET, target, mtp, vocabulary)
    gguf_files.write_qwen35(family.stripped_mtp, TARGET, target, None, vocabulary)
    gguf_files.write_qwen3(family.qwen3, TARGET, target, vocabulary)
    gguf_files.write_qwen3(family.draft, DRAFT, draft, vocabulary)

    special = len(SPECIAL_TOKENS)
    order = (*range(special), *reversed(range(special, VOCABULARY)))
    other = draft | {"embed_tokens.weight": draft["embed_tokens.weight"][list(order)]}
    gguf_files.write_qwen3(family.other_vocabulary, DRAFT, other, vocabulary.reordered(order))
    hugging_face.write_qwen3(family.other_vocabulary_hf, DRAFT, other)
    hugging_face.reorder_tokens(family.other_vocabulary_hf, order)
    return family


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.models.export FOLDER")
    export(Path(sys.argv[1]))
