from __future__ import annotations

from pathlib import Path

import pytest

from runners.base.contract import LaunchSpec, Missing, OptionValue, UsageError
from runners.base.speculation import PLAIN_DECODING, Speculation, SyntheticAcceptance
from runners.llama_cpp_python import runner as runner_module
from runners.llama_cpp_python.options import Launch, canonical, launch_of
from runners.llama_cpp_python.package import Package
from runners.llama_cpp_python.runner import LlamaCppPython, why
from runners.registry import make_runner

PACKAGE = Package(
    version="0.3.36",
    kinds={
        "n_ctx": "int",
        "n_batch": "int",
        "n_threads": "int",
        "flash_attn": "bool",
        "rope_freq_base": "float",
        "tensor_split": "floats",
        "lora_path": "str",
        "type_k": "int",
        "kv_overrides": None,
        "seed": "int",
        "logits_all": "bool",
        "draft_model": None,
    },
    constants={"type_k": {"f16": 1, "q8_0": 8}},
)
LOOKUP = Speculation("ngram", 4)


def launch(speculation: Speculation = PLAIN_DECODING, **options: OptionValue) -> Launch:
    spec = LaunchSpec(Path("m.gguf"), speculation, tuple(options.items()), context=1024)
    return launch_of(spec, PACKAGE)


def test_launch_has_the_model_the_context_and_the_lookup() -> None:
    assert launch() == Launch({"model_path": "m.gguf", "n_ctx": 1024}, None)
    assert launch(LOOKUP).lookup == {"num_pred_tokens": 4}
    assert launch(LOOKUP, max_ngram_size="3").lookup == {"num_pred_tokens": 4, "max_ngram_size": 3}
    assert launch(max_ngram_size=3) == launch()


@pytest.mark.parametrize(
    ("written", "value", "name", "expected"),
    [
        ("n_threads", "2", "n_threads", 2),
        ("--threads", 2, "n_threads", 2),
        ("-t", 2, "n_threads", 2),
        ("ctx-size", 2048, "n_ctx", 2048),
        ("fa", "on", "flash_attn", True),
        ("flash-attn", False, "flash_attn", False),
        ("rope_freq_base", "1e4", "rope_freq_base", 10000.0),
        ("ts", "0.5/0.5", "tensor_split", [0.5, 0.5]),
        ("lora-path", "a b", "lora_path", "a b"),
        ("ctk", "Q8_0", "type_k", 8),
        ("type_k", "8", "type_k", 8),
    ],
)
def test_options_by_the_packages_names_and_by_llama_servers(
    written: str, value: OptionValue, name: str, expected: object
) -> None:
    assert canonical(written) == name
    assert launch(PLAIN_DECODING, **{written: value}).arguments[name] == expected


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("n_thread", 2, "did you mean n_threads"),
        ("wings", 2, "known: n_ctx, n_batch"),
        ("kv_overrides", "x", "no option"),
        ("logits_all", True, "no option"),
        ("seed", 1, "set by each request"),
        ("num-pred-tokens", 3, "set by --draft-tokens"),
        ("model_path", "x", "set by --model"),
        ("n_threads", "two", "cannot be 'two'"),
        ("flash_attn", "perhaps", "on or off"),
        ("type_k", "q9", "cannot be 'q9'"),
        ("max_ngram_size", 0, "1 or more"),
    ],
)
def test_what_is_no_option_is_refused(option: str, value: OptionValue, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        launch(PLAIN_DECODING, **{option: value})


def test_launches_that_the_package_cannot_make() -> None:
    with pytest.raises(UsageError, match="only by 'ngram'"):
        launch(Speculation("mtp", 2))
    with pytest.raises(UsageError, match="only by 'ngram'"):
        launch(Speculation("ngram+mtp", 2))
    with pytest.raises(UsageError, match="synthetic"):
        launch(Speculation("ngram", 2, synthetic=SyntheticAcceptance(length=2.0)))
    with pytest.raises(UsageError, match="needs a model"):
        launch_of(LaunchSpec(None), PACKAGE)
    with pytest.raises(UsageError, match="n_batch = 4"):
        launch(LOOKUP, n_batch=4)
    assert launch(LOOKUP, n_batch=5).lookup == {"num_pred_tokens": 4}
    with pytest.raises(UsageError, match="n_batch = 512"):
        launch(Speculation("ngram", 512))


def test_only_the_lookups_option_depends_on_the_method() -> None:
    runner = LlamaCppPython()
    assert runner.applies("max-ngram-size", "ngram")
    assert not runner.applies("max-ngram-size", "none")
    assert runner.applies("n_threads", "none")
    assert runner.applies("wings", "none")


def test_missing_package_is_missing_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "describe", lambda: Package(None))
    found = LlamaCppPython().find()
    assert isinstance(found, Missing)
    assert 'pip install "decodebench[llama-cpp-python]"' in found.advice
    with pytest.raises(UsageError, match="is not installed; install it"):
        LlamaCppPython().check(LaunchSpec(Path("m.gguf")))
    broken = Package("0.3.36", problem="OSError: libllama.so is no library")
    monkeypatch.setattr(runner_module, "describe", lambda: broken)
    found = LlamaCppPython().find()
    assert isinstance(found, Missing)
    assert "libllama.so" in found.reason


def test_reproducing_code_is_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "describe", lambda: PACKAGE)
    spec = LaunchSpec(Path("it's.gguf"), LOOKUP, (("ctk", "q8_0"), ("max_ngram_size", 3)))
    code = LlamaCppPython().reproduce(spec)
    compile(code, "pasted", "exec")
    assert "LlamaPromptLookupDecoding(num_pred_tokens=4, max_ngram_size=3)" in code
    assert "type_k=8" in code
    assert '"it\'s.gguf"' in code
    assert "Lookup" not in LlamaCppPython().reproduce(LaunchSpec(Path("m.gguf")))


def test_there_is_no_program_to_name() -> None:
    with pytest.raises(UsageError, match="no program"):
        make_runner("llama-cpp-python", "python3")


def test_cause_and_effect_of_a_failure_are_read_off_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert why(log) is None
    log.write_text("I loading\nE no magic\nW hm\nE cannot open\nE Failed to load\n")
    assert why(log) == "no magic; Failed to load"
    log.write_text("Segmentation fault\n")
    assert why(log) is None
