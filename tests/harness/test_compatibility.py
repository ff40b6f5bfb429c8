"""What speaks against a method, from real headers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.compatibility import (
    Files,
    default_layers,
    reason_against,
)
from harness.models.facts import DrafterFacts
from harness.models.read import read_model_file
from runners.base.support import MethodSupport, Need
from runners.llama_cpp.methods import METHODS
from tests.harness.builders import make_model_file
from tests.harness.models import folders
from tests.harness.models.gguf_files import (
    EMBEDDING,
    VOCABULARY,
    Shape,
    dense,
    heads_alone,
    with_mtp,
    write,
)
from tests.models.export import Family

TOKENS = [f"t{number}" for number in range(12)]
ONE_HEAD = {"nextn_predict_layers": 1}


class Folder:
    """Writes model files and asks whether a method works with them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, tensors: dict[str, Shape], **options: Any) -> None:
        texts = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "qwen2"}
        arrays = {"tokenizer.ggml.tokens": TOKENS, **options.pop("arrays", {})}
        write(self.path / name, tensors, texts=texts, arrays=arrays, **options)

    def reason(self, method: str, target: str, draft: str | None = None) -> str | None:
        return reason_against(METHODS[method].support(method), self.files(target, draft))

    def files(self, target: str, draft: str | None = None) -> Files:
        return Files(
            read_model_file(self.path / target),
            None if draft is None else read_model_file(self.path / draft),
        )


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.write("plain.gguf", dense(4))
    made.write("small.gguf", dense(1))
    return made


# ---- MTP -------------------------------------------------------------------------------------


def test_heads_in_the_model(folder: Folder) -> None:
    folder.write("mtp.gguf", with_mtp(), integers=ONE_HEAD)
    assert folder.reason("mtp", "mtp.gguf") is None
    said = folder.reason("mtp", "plain.gguf")
    assert str(said).startswith("plain.gguf holds no MTP heads; needed is a model file that")


def test_stripped_heads(folder: Folder) -> None:
    tensors = with_mtp()
    tensors.pop("blk.2.nextn.eh_proj.weight")
    folder.write("stripped.gguf", tensors, integers=ONE_HEAD)
    said = folder.reason("mtp", "stripped.gguf")
    assert "names 1 MTP layer, but its heads were stripped" in str(said)


def test_heads_beside_the_model(folder: Folder) -> None:
    folder.write("heads.gguf", heads_alone(), integers=ONE_HEAD)
    folder.write("assistant.gguf", dense(1), architecture="gemma4-assistant")
    assert folder.reason("mtp", "plain.gguf", "heads.gguf") is None
    assert folder.reason("mtp", "plain.gguf", "assistant.gguf") is None
    assert folder.reason("mtp", "plain.gguf", "small.gguf") == "small.gguf holds no MTP heads"


# ---- a draft model ---------------------------------------------------------------------------


def test_a_draft_model_of_the_same_vocabulary(folder: Folder) -> None:
    assert folder.reason("draft-model", "plain.gguf", "small.gguf") is None
    assert "no --draft-model is given" in str(folder.reason("draft-model", "plain.gguf"))
    folder.write(
        "other.gguf", dense(1), arrays={"tokenizer.ggml.tokens": [*TOKENS[:-1], "something"]}
    )
    assert folder.reason("draft-model", "plain.gguf", "other.gguf") == (
        "other.gguf has another vocabulary than plain.gguf: "
        "token 11 is 'something', the target's 't11'"
    )


@pytest.mark.parametrize(
    ("tensors", "options", "method"),
    [
        (heads_alone(), {"integers": ONE_HEAD}, "mtp"),
        (dense(1), {"architecture": "eagle3"}, "eagle3"),
        (dense(1), {"architecture": "dflash"}, "dflash"),
        (
            dense(1) | {"markov_w1.weight": (VOCABULARY, 32)},
            {"architecture": "dflash"},
            "dspark",
        ),
    ],
)
def test_what_drafts_otherwise(
    folder: Folder, tensors: dict[str, Shape], options: dict[str, Any], method: str
) -> None:
    folder.write("draft.gguf", tensors, **options)
    assert folder.reason("draft-model", "plain.gguf", "draft.gguf") == (
        f"draft.gguf is no whole model: it drafts by --method {method}"
    )


# ---- EAGLE-3, DFlash, DSpark -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"architecture": "llama"}, "is of the architecture 'llama', not 'eagle3'"),
        ({"arrays": {}}, "lacks the key eagle3.target_layers"),
        ({"arrays": {"target_layers": [1, 2]}}, "names 2 layers of its target"),
        ({"integers": {}}, "lacks the key eagle3.target_hidden_size"),
        ({"integers": {"target_hidden_size": 4096}}, "it reads hidden states of 4096 numbers"),
        ({"arrays": {"target_layers": [1, 2, 40]}}, "it reads layer 40, plain.gguf has 4"),
    ],
)
def test_eagle3(folder: Folder, changes: dict[str, Any], words: str | None) -> None:
    options: dict[str, Any] = {
        "architecture": "eagle3",
        "integers": {"target_hidden_size": EMBEDDING},
        "arrays": {"target_layers": [0, 2, 4]},
    }
    folder.write("draft.gguf", dense(1), **{**options, **changes})
    said = folder.reason("eagle3", "plain.gguf", "draft.gguf")
    assert said is None if words is None else words in str(said)
    assert "no --draft-model is given" in str(folder.reason("eagle3", "plain.gguf"))


def test_dflash_and_dspark_are_told_apart_by_the_markov_head(folder: Folder) -> None:
    markov: dict[str, Shape] = {"markov_w1.weight": (VOCABULARY, 32)}
    layers = {"arrays": {"target_layers": [1]}, "architecture": "dflash"}
    folder.write("dflash.gguf", dense(1), **layers)
    folder.write("dspark.gguf", dense(1) | markov, **layers)
    folder.write("neither.gguf", dense(1), architecture="dflash")
    assert folder.reason("dflash", "plain.gguf", "dflash.gguf") is None
    assert folder.reason("dspark", "plain.gguf", "dspark.gguf") is None
    assert "--method dspark" in str(folder.reason("dflash", "plain.gguf", "dspark.gguf"))
    assert "--method dflash" in str(folder.reason("dspark", "plain.gguf", "dflash.gguf"))
    assert "lacks the key dflash.target_layers" in str(
        folder.reason("dflash", "plain.gguf", "neither.gguf")
    )


def test_names_of_files_are_shown_harmless(folder: Folder) -> None:
    folder.write("\x1b[31m.gguf", dense(1))
    assert str(folder.reason("mtp", "\x1b[31m.gguf")).startswith("\\x1b[31m.gguf holds no")


def test_a_method_that_the_build_does_not_have(folder: Folder) -> None:
    support = MethodSupport("mtp", supported=False, note="since b9294")
    assert reason_against(support, folder.files("plain.gguf")) == (
        "this build of the runner cannot speculate by mtp: since b9294"
    )


# ---- folders of Hugging Face and MLX -------------------------------------------------------------

NEEDS = {
    "draft-model": (Need.DRAFT_MODEL, Need.EQUAL_SIZES),
    "mtp": (Need.MTP_HEADS,),
    "eagle": (Need.EAGLE_DRAFT,),
    "eagle3": (Need.EAGLE3_DRAFT,),
    "medusa": (Need.MEDUSA_HEADS,),
    "dflash": (Need.DFLASH_DRAFT,),
}
LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "hidden_size": 32,
    "vocab_size": 1000,
}
HEAD = LLAMA | {"architectures": ["LlamaForCausalLMEagle3"], "num_hidden_layers": 1}
LAYER: folders.Tensors = {"layers.0.self_attn.k_proj.weight": ("F16", (32, 32))}


def folder_reason(method: str, target: Path, draft: Path | None = None) -> str | None:
    files = Files(
        read_model_file(target),
        None if draft is None else read_model_file(draft),
    )
    return reason_against(MethodSupport(method, supported=True, needs=NEEDS[method]), files)


def test_the_tiny_family_can_be_drafted_for(family: Family) -> None:
    target = family.qwen3_hf
    assert folder_reason("mtp", family.qwen35_mtp_hf) is None
    assert folder_reason("draft-model", target, family.draft_hf) is None
    assert folder_reason("eagle", target, family.eagle_hf) is None
    assert folder_reason("eagle3", target, family.eagle3_hf) is None
    assert folder_reason("medusa", target, family.medusa_hf) is None


def test_the_tiny_family_wrongly_paired(family: Family) -> None:
    target = family.qwen3_hf
    assert "holds no MTP heads; needed is" in str(folder_reason("mtp", target))
    assert folder_reason("eagle3", target, family.eagle3_shallow) == (
        "eagle3-shallow-hf was made for another target: it reads layer 29, qwen3-hf has 3"
    )
    assert str(folder_reason("draft-model", target, family.other_vocabulary_hf)).startswith(
        "other-vocabulary-hf has another vocabulary than qwen3-hf: token 3 is "
    )
    for method in ("eagle", "eagle3", "medusa", "dflash"):
        assert "no --draft-model is given" in str(folder_reason(method, target))
        said = str(folder_reason(method, target, family.draft_hf))
        assert said.startswith(f"draft-hf is of the architecture 'qwen3', not '{method}'")
    assert "hidden states of 192 numbers, those of draft-hf have 128" in str(
        folder_reason("eagle", family.draft_hf, family.eagle_hf)
    )
    for method, draft in (
        ("eagle", family.eagle_hf),
        ("eagle3", family.eagle3_hf),
        ("medusa", family.medusa_hf),
    ):
        assert folder_reason("draft-model", target, draft) == (
            f"{draft.name} is no whole model: it drafts by --method {method}"
        )


def test_a_folder_whose_heads_were_stripped(tmp_path: Path) -> None:
    target = folders.write(tmp_path / "t", LLAMA | {"num_nextn_predict_layers": 1}, LAYER)
    said = str(folder_reason("mtp", target))
    assert said.startswith("t: config.json names 1 MTP layer, but its heads were stripped")


def test_sizes_that_vllm_refuses(tmp_path: Path) -> None:
    """Padded to other sizes, with the same tokens: a draft model for every runner but vLLM."""
    target = folders.write(tmp_path / "t", LLAMA, LAYER)
    draft = folders.write(tmp_path / "d", LLAMA | {"vocab_size": 1024}, LAYER)
    assert folder_reason("draft-model", target, draft) == (
        "d has a vocabulary of 1,024 (vocab_size in config.json), t of 1,000; needed is a draft "
        "model whose vocabulary is exactly as large as the target's"
    )


@pytest.mark.parametrize(
    ("depth", "config", "words"),
    [
        # What vLLM 0.32 takes by itself: layers 2, n // 2 and n - 3, of which some coincide.
        (3, {}, None),
        (4, {}, "which has 4, are 2, 2, 1: 2 different, it needs 3"),
        (6, {}, "which has 6, are 2, 3, 3: 2 different, it needs 3"),
        (1, {}, "which has 1, are 2, 0, -2: 1 different, it needs 3"),
        (32, {}, None),
        (4, {"eagle_aux_hidden_state_layer_ids": [0, 2, 4]}, None),
        (4, {"eagle_aux_hidden_state_layer_ids": [2, 3, 5]}, "it reads layer 5, t has 4"),
        (4, {"eagle_aux_hidden_state_layer_ids": [1, 1, 2]}, "1, 1, 2 of its target: 2 diff"),
        (1, {"eagle_config": {"use_aux_hidden_state": False}}, None),
        (32, {"target_hidden_size": 64}, "hidden states of 64 numbers, those of t have 32"),
        (32, {"vocab_size": 128_256}, "for a vocabulary of 128,256, that of t has 1,000"),
        (32, {"vocab_size": 1024}, None),
    ],
)
def test_layers_of_an_eagle3_head(
    tmp_path: Path, depth: int, config: dict[str, Any], words: str | None
) -> None:
    target = folders.write(tmp_path / "t", LLAMA | {"num_hidden_layers": depth}, LAYER)
    draft = folders.write(tmp_path / "d", HEAD | config, LAYER)
    said = folder_reason("eagle3", target, draft)
    assert said is None if words is None else words in str(said)


@given(depth=st.integers(1, 64))
def test_default_layers_are_three_where_nothing_speaks_against_them(depth: int) -> None:
    drafter = DrafterFacts(target_states=3)
    files = Files(
        make_model_file("t", format="safetensors", layers=depth),
        make_model_file("d", format="safetensors", architecture="eagle3", drafter=drafter),
    )
    support = MethodSupport("eagle3", supported=True, needs=NEEDS["eagle3"])
    usable = {layer for layer in default_layers(depth) if 0 <= layer <= depth}
    assert (reason_against(support, files) is None) == (len(usable) == 3)


def test_dflash_in_a_folder(tmp_path: Path) -> None:
    target = folders.write(tmp_path / "t", LLAMA, LAYER)
    config = HEAD | {"architectures": ["DFlashDraftModel"]}
    for number, (layers, words) in enumerate((([1, 3], None), ([1, 4], "it reads layer 5"))):
        inner = {"dflash_config": {"target_layer_ids": layers}}
        draft = folders.write(tmp_path / f"d{number}", config | inner, LAYER)
        said = folder_reason("dflash", target, draft)
        assert said is None if words is None else words in str(said)
    spark = folders.write(tmp_path / "s", config | {"markov_rank": 8}, LAYER)
    assert "drafts by --method dspark" in str(folder_reason("dflash", target, spark))
