from __future__ import annotations

from pathlib import Path

import pytest

from runners.base.contract import LaunchSpec, Missing, OptionValue, UsageError
from runners.base.speculation import PLAIN_DECODING, Speculation, SyntheticAcceptance
from runners.openvino import runner as runner_module
from runners.openvino.options import Launch, canonical, launch_of
from runners.openvino.package import Package
from runners.openvino.runner import OpenVino, why

PACKAGE = Package(
    version="2026.4.1.0",
    openvino="2026.4.1",
    devices=("CPU: a processor",),
    properties={
        "CPU": ("INFERENCE_NUM_THREADS", "INFERENCE_PRECISION_HINT", "ENABLE_HYPER_THREADING"),
        "GPU": ("GPU_QUEUE_PRIORITY", "INFERENCE_PRECISION_HINT"),
    },
)
DRAFT = Speculation("draft-model", 3, Path("/d.gguf"))
LOOKUP = Speculation("ngram", 4)


def launch(speculation: Speculation = PLAIN_DECODING, **options: OptionValue) -> Launch:
    return launch_of(LaunchSpec(Path("/m.gguf"), speculation, tuple(options.items())), PACKAGE)


def test_launch_has_the_model_and_the_way_of_drafting() -> None:
    assert launch() == Launch("/m.gguf", "CPU", {})
    assert launch(DRAFT) == Launch("/m.gguf", "CPU", {}, "/d.gguf", 3)
    assert launch(LOOKUP) == Launch("/m.gguf", "CPU", {}, None, 4, ngram_size=3)
    assert launch(LOOKUP, max_ngram_size="2").ngram_size == 2
    assert launch(max_ngram_size=2) == launch()


@pytest.mark.parametrize(
    ("written", "value", "name", "expected"),
    [
        ("INFERENCE_NUM_THREADS", "2", "INFERENCE_NUM_THREADS", 2),
        ("--threads", 2, "INFERENCE_NUM_THREADS", 2),
        ("-t", "2", "INFERENCE_NUM_THREADS", 2),
        ("inference-precision-hint", "f32", "INFERENCE_PRECISION_HINT", "f32"),
        ("enable_hyper_threading", "off", "ENABLE_HYPER_THREADING", False),
        ("gpu-queue-priority", "LOW", "GPU_QUEUE_PRIORITY", "LOW"),
    ],
)
def test_options_are_the_devices_properties(
    written: str, value: OptionValue, name: str, expected: object
) -> None:
    assert canonical(written) == name
    assert launch(PLAIN_DECODING, **{written: value}).properties == {name: expected}


def test_device_is_an_option() -> None:
    assert canonical("--DEVICE") == "device"
    assert launch(PLAIN_DECODING, device="GPU.1") == Launch("/m.gguf", "GPU.1", {})


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("INFERENCE_NUM_THREAD", 2, "did you mean INFERENCE_NUM_THREADS"),
        ("wings", 2, "known: INFERENCE_NUM_THREADS, .*device, max_ngram_size"),
        ("num-assistant-tokens", 3, "set by --draft-tokens"),
        ("assistant_confidence_threshold", 0.3, "set by --draft-tokens, which it excludes"),
        ("enable_prefix_caching", "on", "each prompt is read anew"),
        ("max_ngram_size", 0, "expected 1 or more"),
        ("max-ngram-size", "two", "expected 1 or more"),
    ],
)
def test_what_is_no_option_is_refused(option: str, value: OptionValue, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        launch(PLAIN_DECODING, **{option: value})


def test_launches_that_cannot_be_made() -> None:
    with pytest.raises(UsageError, match="only by 'draft-model' or 'ngram'"):
        launch(Speculation("mtp", 2))
    with pytest.raises(UsageError, match="only by"):
        launch(Speculation("ngram+mtp", 2))
    with pytest.raises(UsageError, match="synthetic"):
        launch(Speculation("ngram", 2, synthetic=SyntheticAcceptance(length=2.0)))
    with pytest.raises(UsageError, match="needs a model"):
        launch_of(LaunchSpec(None), PACKAGE)
    with pytest.raises(UsageError, match="needs a draft model"):
        launch(Speculation("draft-model", 2))


def test_only_the_lookups_option_depends_on_the_method() -> None:
    runner = OpenVino()
    assert runner.applies("max-ngram-size", "ngram")
    assert not runner.applies("max-ngram-size", "draft-model")
    assert not runner.applies("max-ngram-size", "none")
    assert runner.applies("threads", "none")


def test_missing_package_is_missing_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "describe", lambda: Package(None))
    found = OpenVino().find()
    assert isinstance(found, Missing)
    assert 'pip install "decodebench[openvino]"' in found.advice
    with pytest.raises(UsageError, match="is not installed; install it"):
        OpenVino().check(LaunchSpec(Path("m.gguf")))
    broken = Package("?", problem="ImportError: libopenvino.so is no library")
    monkeypatch.setattr(runner_module, "describe", lambda: broken)
    found = OpenVino().find()
    assert isinstance(found, Missing)
    assert "libopenvino.so" in found.reason


def test_folders_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runner_module, "describe", lambda: PACKAGE)
    with pytest.raises(UsageError, match="reads GGUF files, and this is a folder"):
        OpenVino().check(LaunchSpec(tmp_path))


def test_reproducing_code_is_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "describe", lambda: PACKAGE)

    def code(speculation: Speculation = PLAIN_DECODING) -> str:
        spec = LaunchSpec(Path("/it's.gguf"), speculation, (("threads", 1), ("device", "GPU")))
        written = OpenVino().reproduce(spec)
        compile(written, "pasted", "exec")
        assert "\"/it's.gguf\", 'GPU', INFERENCE_NUM_THREADS=1" in written
        assert "SchedulerConfig()" in written
        return written

    assert "num_assistant_tokens" not in code()
    assert "enable_save_ov_model=True" in code(DRAFT)
    assert "num_assistant_tokens=3" in code(DRAFT)
    assert "prompt_lookup=True" in code(LOOKUP)
    assert "max_ngram_size=3, num_assistant_tokens=4" in code(LOOKUP)


def test_cause_of_a_failure_is_read_off_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert why(log) is None
    log.write_text("[INFO] loading\nE cannot load m.gguf: no magic\n")
    assert why(log) == "cannot load m.gguf: no magic"
