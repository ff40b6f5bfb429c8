"""The packagings say what they should, and llama.cpp decodes the same from each of them."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np
import pytest
from gguf import GGUFReader
from safetensors.numpy import load_file

from harness.models.read import read_model_file
from runners.base.contract import Burst, Completion, LaunchSpec, Message, Request
from runners.base.speculation import PLAIN_DECODING, Speculation
from runners.registry import make_runner
from tests.models import corpus
from tests.models.export import Family, export
from tests.models.shape import (
    CHAT_TEMPLATE,
    CHECKPOINT,
    DRAFT,
    DRAFTERS,
    EAGLE3_LAYERS,
    MEDUSA_HEADS,
    MEDUSA_LAYERS,
    SPECIAL_TOKENS,
    TARGET,
    VOCABULARY,
    Shape,
)
from tests.models.weights import Array, read_weights


def tokens(path: Path) -> list[str]:
    field = GGUFReader(path).get_field("tokenizer.ggml.tokens")
    assert field is not None
    texts: list[str] = field.contents()
    return texts


def tensors(path: Path) -> set[str]:
    return {tensor.name for tensor in GGUFReader(path).tensors}


def embeddings(path: Path) -> dict[str, Array]:
    (table,) = (tensor for tensor in GGUFReader(path).tensors if tensor.name == "token_embd.weight")
    return dict(zip(tokens(path), np.asarray(table.data), strict=True))


def config(folder: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((folder / "config.json").read_text())
    return content


def test_the_checkpoint_is_small_and_finite() -> None:
    assert CHECKPOINT.stat().st_size < 6_000_000
    weights = load_file(CHECKPOINT)
    assert {tensor.dtype for tensor in weights.values()} == {np.dtype(np.float16)}
    assert all(np.isfinite(tensor).all() for tensor in weights.values())


def test_the_drafters_are_small_and_finite() -> None:
    assert DRAFTERS.stat().st_size < 3_000_000
    weights = load_file(DRAFTERS)
    assert {tensor.dtype for tensor in weights.values()} == {np.dtype(np.float16)}
    assert all(np.isfinite(tensor).all() for tensor in weights.values())


def test_headers_say_which_file_has_an_mtp_head(family: Family) -> None:
    assert read_model_file(family.qwen35_mtp).facts.mtp_layers == 1
    assert read_model_file(family.qwen3).facts.mtp_layers == 0
    assert read_model_file(family.draft).facts.mtp_layers == 0


def test_the_stripped_file_lacks_only_the_mtp_tensors(family: Family) -> None:
    lost = tensors(family.qwen35_mtp) - tensors(family.stripped_mtp)
    assert tensors(family.stripped_mtp) < tensors(family.qwen35_mtp)
    assert lost
    assert all(name.startswith("blk.4.") for name in lost)
    key = GGUFReader(family.stripped_mtp).get_field("qwen35.nextn_predict_layers")
    assert key is not None
    assert key.contents() == 1


def test_the_other_vocabulary_has_the_same_texts_under_other_ids(family: Family) -> None:
    ours, other = tokens(family.draft), tokens(family.other_vocabulary)
    assert sorted(ours) == sorted(other)
    special = len(SPECIAL_TOKENS)
    assert ours[:special] == other[:special] == list(SPECIAL_TOKENS)
    moved = [a != b for a, b in zip(ours, other, strict=True)]
    assert sum(moved) > 2000
    # llama.cpp compares texts from id 5 on.
    assert moved[5]


def test_the_other_vocabulary_moves_each_embedding_with_its_text(family: Family) -> None:
    ours, other = embeddings(family.draft), embeddings(family.other_vocabulary)
    assert ours.keys() == other.keys()
    assert all(np.array_equal(row, other[text]) for text, row in ours.items())


@pytest.mark.parametrize(
    ("name", "shape", "model_type"),
    [
        ("qwen35_mtp_hf", TARGET, "qwen3_5_text"),
        ("qwen3_hf", TARGET, "qwen3"),
        ("draft_hf", DRAFT, "qwen3"),
    ],
)
def test_directories_hold_what_a_runner_reads(
    family: Family, name: str, shape: Shape, model_type: str
) -> None:
    folder: Path = getattr(family, name)
    said = config(folder)
    assert said["model_type"] == model_type
    assert said["hidden_size"] == shape.hidden
    assert said["num_hidden_layers"] == shape.layers
    assert said["vocab_size"] == len(tokens(family.draft))
    assert said.get("mtp_num_hidden_layers", 0) == (name == "qwen35_mtp_hf")
    weights = load_file(folder / "model.safetensors")
    assert any(key.startswith("mtp.") for key in weights) == (name == "qwen35_mtp_hf")
    assert weights["model.embed_tokens.weight"].shape == (said["vocab_size"], shape.hidden)
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    assert tokenizer["chat_template"] == CHAT_TEMPLATE
    generation = json.loads((folder / "generation_config.json").read_text())
    assert generation["eos_token_id"] == [2, 0]
    assert json.loads((folder / "tokenizer.json").read_text())["model"]["type"] == "BPE"


def test_the_other_vocabulary_in_a_directory(family: Family) -> None:
    ours, other = (
        json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
        for folder in (family.draft_hf, family.other_vocabulary_hf)
    )
    weights = [
        load_file(folder / "model.safetensors")["model.embed_tokens.weight"]
        for folder in (family.draft_hf, family.other_vocabulary_hf)
    ]
    assert sorted(other, key=other.__getitem__) == tokens(family.other_vocabulary)
    assert ours.keys() == other.keys()
    assert all(np.array_equal(weights[0][ours[t]], weights[1][other[t]]) for t in ours)


@pytest.mark.parametrize(
    ("name", "model_type", "architecture"),
    [
        ("eagle_hf", "llama", "LlamaForCausalLM"),
        ("eagle3_hf", "llama", "LlamaForCausalLMEagle3"),
        ("eagle3_shallow", "llama", "LlamaForCausalLMEagle3"),
        ("medusa_hf", "medusa", "MedusaModel"),
    ],
)
def test_directories_of_drafters(
    family: Family, name: str, model_type: str, architecture: str
) -> None:
    folder: Path = getattr(family, name)
    said = config(folder)
    assert (said["model_type"], said["architectures"]) == (model_type, [architecture])
    assert (said["hidden_size"], said["vocab_size"]) == (TARGET.hidden, VOCABULARY)
    # They have no tokens of their own.
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_tensors_of_drafters_have_the_shapes_that_vllm_expects(family: Family) -> None:
    width, heads = TARGET.hidden, TARGET.heads * TARGET.head
    eagle = load_file(family.eagle_hf / "model.safetensors")
    assert eagle["fc.weight"].shape == (width, 2 * width)
    assert eagle["layers.0.self_attn.q_proj.weight"].shape == (heads, width)
    assert "layers.0.input_layernorm.weight" not in eagle
    eagle3 = load_file(family.eagle3_hf / "model.safetensors")
    assert eagle3["fc.weight"].shape == (width, len(EAGLE3_LAYERS) * width)
    assert eagle3["midlayer.self_attn.q_proj.weight"].shape == (heads, 2 * width)
    assert {"norm.weight", "midlayer.hidden_norm.weight"} <= eagle3.keys()
    medusa = load_file(family.medusa_hf / "model.safetensors")
    layers = {
        f"blocks.{i}.layers.{j}.weight" for i in range(MEDUSA_HEADS) for j in range(MEDUSA_LAYERS)
    }
    assert medusa.keys() == layers | {"lm_heads.0.weight"}
    output = load_file(family.qwen3_hf / "model.safetensors")["model.embed_tokens.weight"]
    assert np.array_equal(medusa["lm_heads.0.weight"], output)
    assert not set(eagle) & {"embed_tokens.weight", "lm_head.weight"}


def test_the_shallow_pair_differs_by_the_layers_alone(family: Family) -> None:
    works, dies = config(family.eagle3_hf), config(family.eagle3_shallow)
    assert works.pop("eagle_config") != dies.pop("eagle_config")
    assert works == dies
    ours, same = (
        load_file(folder / "model.safetensors")
        for folder in (family.eagle3_hf, family.eagle3_shallow)
    )
    assert ours.keys() == same.keys()


def test_no_section_that_crashes_vllm(family: Family) -> None:
    rope = config(family.qwen35_mtp_hf)["rope_parameters"]
    assert isinstance(rope, dict)
    assert not {"mrope_section", "mrope_interleaved"} & set(rope)


def test_gate_and_norms_are_undone_exactly(family: Family) -> None:
    weights = read_weights(CHECKPOINT)["target"]
    stored = load_file(family.qwen35_mtp_hf / "model.safetensors")
    norm = stored["model.layers.1.input_layernorm.weight"]
    assert np.array_equal(norm + 1, weights["layers.1.input_layernorm.weight"])
    attention = "layers.1.self_attn"
    both = stored[f"model.{attention}.q_proj.weight"].reshape(TARGET.heads, 2, TARGET.head, -1)
    queries = weights[f"{attention}.q_proj.weight"].reshape(TARGET.heads, TARGET.head, -1)
    assert np.array_equal(both[:, 0], queries)
    assert not both[:, 1].any()
    output = stored[f"model.{attention}.o_proj.weight"]
    assert np.array_equal(output * 0.5, weights[f"{attention}.o_proj.weight"])


def test_an_export_is_not_written_over(family: Family) -> None:
    with pytest.raises(FileExistsError):
        export(family.qwen3.parent)


def test_export_needs_neither_torch_nor_tokenizers() -> None:
    code = "import sys, tests.models.export; print({'torch', 'tokenizers'} & sys.modules.keys())"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True)
    assert done.stdout.strip() == b"set()"


def test_training_saw_chats_as_the_template_writes_them() -> None:
    # transformers, vLLM and llama.cpp all drop the line end after a tag.
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    written = environment.from_string(CHAT_TEMPLATE).render(
        messages=[{"role": "user", "content": "Say yes."}], add_generation_prompt=True
    )
    assert written + "yes" == corpus.chat("Say yes.", "yes")


def test_another_release_of_the_documents_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "docutils.tar.gz"
    archive.write_bytes(b"not it")
    with pytest.raises(ValueError, match=r"is not docutils-.*download it again"):
        corpus.prose(archive)


CODE = (
    'class Stack:\n    """A stack."""\n\n    def __init__(self):\n        self.items = []\n',
    "Write a Python function `merge`. Merge two sorted lists into one.",
)


@dataclass(frozen=True)
class Decoded:
    tokens: list[tuple[int, ...]]
    drafted: int
    accepted: int


async def decode(model: Path, speculation: Speculation, log: Path) -> Decoded:
    """The greedy answers to `CODE`, 96 tokens each."""
    # One thread: with more, so small a model waits for its threads most of the time.
    options = (("threads", 1), ("threads-batch", 1))
    spec = LaunchSpec(model, speculation, options, context=1024)
    answers, drafted, accepted = [], 0, 0
    server = await make_runner("llama.cpp").start(spec, log, 60)
    try:
        for prompt in CODE:
            ids: list[int] = []
            request = Request((Message("user", prompt),), max_tokens=96, timeout_s=120)
            async for part in server.stream(request):
                if isinstance(part, Burst):
                    ids += part.token_ids or ()
                elif isinstance(part, Completion):
                    drafted += part.drafted or 0
                    accepted += part.accepted or 0
            answers.append(tuple(ids))
    finally:
        await server.stop()
    return Decoded(answers, drafted, accepted)


@pytest.mark.live
@pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="xllamacpp is not installed"
)
async def test_llama_cpp_decodes_the_same_from_every_packaging(
    family: Family, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    plain = await decode(family.qwen3, PLAIN_DECODING, log)
    hybrid = await decode(family.qwen35_mtp, PLAIN_DECODING, log)
    mtp = await decode(family.qwen35_mtp, Speculation("mtp", 1), log)
    drafted = await decode(family.qwen3, Speculation("draft-model", 3, family.draft), log)
    assert [len(answer) for answer in plain.tokens] == [96, 96]
    assert hybrid.tokens == mtp.tokens == drafted.tokens == plain.tokens
    assert (plain.drafted, hybrid.drafted) == (0, 0)
    assert mtp.accepted / mtp.drafted > 0.6
    assert drafted.accepted / drafted.drafted > 0.3
