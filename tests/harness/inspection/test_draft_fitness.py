from __future__ import annotations

from pathlib import Path

from harness.inspection.draft_fitness import DraftFitness, draft_fitness
from harness.models.read import read_model_file
from tests.harness.models.gguf_files import dense, heads_alone, with_mtp, write
from tests.models.export import Family


def fitness(target: Path, draft: Path) -> DraftFitness:
    return draft_fitness(read_model_file(target), read_model_file(draft))


def test_a_smaller_model_of_the_same_vocabulary(family: Family) -> None:
    found = fitness(family.qwen3, family.draft)
    assert found == DraftFitness(
        method="draft-model", reason_against=None, longest=None, limit=None
    )


def test_another_vocabulary(family: Family) -> None:
    found = fitness(family.qwen3, family.other_vocabulary)
    assert found.reason_against is not None
    assert "another vocabulary" in found.reason_against


def test_folders_need_vocabularies_of_one_size(family: Family, tmp_path: Path) -> None:
    assert fitness(family.qwen3_hf, family.draft_hf).reason_against is None
    folder = tmp_path / "draft"
    folder.mkdir()
    for file in family.draft_hf.iterdir():
        content = file.read_bytes()
        if file.name == "config.json":
            content = content.replace(b'"vocab_size": 2048', b'"vocab_size": 2047')
            assert content != file.read_bytes()
        (folder / file.name).write_bytes(content)
    assert "a vocabulary of 2,047" in str(fitness(family.qwen3_hf, folder).reason_against)


def test_a_file_and_a_folder_do_not_go_together(family: Family) -> None:
    for target, draft in ((family.qwen3, family.draft_hf), (family.qwen3_hf, family.draft)):
        assert "no runner reads the two together" in str(fitness(target, draft).reason_against)


def test_heads_draft_by_their_method(family: Family) -> None:
    medusa = fitness(family.qwen3_hf, family.medusa_hf)
    assert (medusa.method, medusa.reason_against, medusa.longest) == ("medusa", None, 3)
    assert medusa.limit is not None
    assert fitness(family.qwen3_hf, family.eagle3_hf).method == "eagle3"


def test_chained_mtp_heads_bound_the_length(tmp_path: Path) -> None:
    target = write(tmp_path / "m.gguf", dense())
    two = with_mtp(2)
    alone = {name: shape for name, shape in two.items() if ".2." in name or ".3." in name}
    chained = write(tmp_path / "two.gguf", alone, integers={"nextn_predict_layers": 2})
    single = write(tmp_path / "one.gguf", heads_alone(), integers={"nextn_predict_layers": 1})
    assert (fitness(target, chained).method, fitness(target, chained).longest) == ("mtp", 2)
    assert (fitness(target, single).method, fitness(target, single).longest) == ("mtp", None)


def test_a_block_bounds_the_length(tmp_path: Path) -> None:
    target = write(tmp_path / "m.gguf", dense())
    draft = write(
        tmp_path / "d.gguf",
        dense(1),
        architecture="dflash",
        integers={"block_size": 8, "target_hidden_size": 64},
        arrays={"target_layers": [1]},
    )
    found = fitness(target, draft)
    assert (found.method, found.longest, found.reason_against) == ("dflash", 7, None)
