"""What each generation of llama-server is launched with."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.base.contract import LaunchSpec, OptionValue, UsageError
from runners.base.speculation import WITH_DRAFT, Speculation, SyntheticAcceptance
from runners.llama_cpp.arguments import Dialect
from runners.llama_cpp.help import Flag, Help
from runners.llama_cpp.methods import METHODS, needed_options
from runners.llama_cpp.options import SHARED, SPELLINGS
from tests.runners.llama_cpp.generations import GENERATIONS, dialect

MODEL = Path("/models/a model.gguf")
DRAFT = Path("/models/draft.gguf")
OLD, B9093, B9294, TODAY = GENERATIONS
Options = tuple[tuple[str, OptionValue], ...]


def launch(method: str = "none", k: int | None = None, options: Options = ()) -> LaunchSpec:
    draft = DRAFT if set(method.split("+")) & set(WITH_DRAFT) else None
    return LaunchSpec(MODEL, Speculation(method, k, draft), options, context=2048)


def speculative(generation: str, spec: LaunchSpec) -> dict[str, str]:
    """The arguments that plain decoding does not have, as a mapping."""
    plain = dialect(generation).arguments(launch())
    argv = dialect(generation).arguments(spec)
    assert argv[: len(plain)] == plain
    rest = argv[len(plain) :]
    return dict(zip(rest[::2], rest[1::2], strict=True))


@pytest.mark.parametrize("generation", GENERATIONS)
def test_plain_decoding(generation: str) -> None:
    assert dialect(generation).arguments(launch()) == [
        *("--model", str(MODEL), "--parallel", "1", "--ctx-size", "2048"),
        *("--metrics", "--no-cache-prompt", "--cache-ram", "0"),
    ]


def test_what_a_build_does_not_know_of_our_own_is_left_out() -> None:
    today = dialect(TODAY)
    flags = [f for f in today.help.flags if f.name not in ("cache-ram", "cache-prompt", "metrics")]
    old = Dialect("old", Help(tuple(flags)))
    assert old.arguments(launch()) == [
        *("--model", str(MODEL), "--parallel", "1", "--ctx-size", "2048")
    ]
    with pytest.raises(UsageError, match="no option 'cache-ram'"):
        old.arguments(launch(options=(("cache-ram", 5),)))


def test_builds_of_2025_are_asked_for_their_slots() -> None:
    today = dialect(TODAY)
    flags = [flag for flag in today.help.flags if flag.name not in ("slots", "spec-type")]
    apart = (Flag(("--slots",)), Flag(("--no-slots",)))
    old = Dialect("b6100", Help((*flags, *apart)))
    assert "--slots" in old.arguments(launch())
    assert "--slots" not in today.arguments(launch())
    with pytest.raises(UsageError, match=r"cannot speculate by ngram-mod.*it has draft-model"):
        old.arguments(launch("ngram-mod", 4))


SHARED_N, SHARED_M, MAX = "--spec-ngram-size-n", "--spec-ngram-size-m", "--draft-max"


@pytest.mark.parametrize(
    ("generation", "method", "expected"),
    [
        (OLD, "draft-model", {MAX: "5", "--model-draft": str(DRAFT)}),
        (
            OLD,
            "ngram-simple",
            {"--spec-type": "ngram-simple", SHARED_M: "5", SHARED_N: "5", MAX: "5"},
        ),
        (OLD, "ngram-map-k", {"--spec-type": "ngram-map-k", SHARED_M: "5", MAX: "5"}),
        (OLD, "ngram-map-k4v", {"--spec-type": "ngram-map-k4v", SHARED_M: "5", MAX: "5"}),
        (OLD, "ngram-mod", {"--spec-type": "ngram-mod", MAX: "5", "--draft-min": "1"}),
        (OLD, "ngram-cache", {"--spec-type": "ngram-cache"}),
        (
            OLD,
            "ngram-mod+draft-model",
            {"--spec-type": "ngram-mod", MAX: "5", "--draft-min": "1", "--model-draft": str(DRAFT)},
        ),
        (
            B9093,
            "draft-model",
            {"--spec-draft-n-max": "5", "--spec-draft-model": str(DRAFT)},
        ),
        (
            B9093,
            "ngram-mod",
            {
                "--spec-type": "ngram-mod",
                "--spec-ngram-mod-n-max": "5",
                "--spec-ngram-mod-n-min": "1",
            },
        ),
        (
            B9294,
            "draft-model",
            {
                "--spec-type": "draft-simple",
                "--spec-draft-n-max": "5",
                "--spec-draft-model": str(DRAFT),
            },
        ),
        (B9294, "mtp", {"--spec-type": "draft-mtp", "--spec-draft-n-max": "5"}),
        (TODAY, "mtp", {"--spec-type": "draft-mtp", "--spec-draft-n-max": "5"}),
        (
            TODAY,
            "eagle3",
            {
                "--spec-type": "draft-eagle3",
                "--spec-draft-n-max": "5",
                "--spec-draft-model": str(DRAFT),
            },
        ),
        (
            TODAY,
            "mtp+ngram-mod",
            {
                "--spec-type": "ngram-mod,draft-mtp",
                "--spec-ngram-mod-n-max": "5",
                "--spec-draft-n-max": "5",
                "--spec-ngram-mod-n-min": "1",
            },
        ),
    ],
)
def test_methods(generation: str, method: str, expected: dict[str, str]) -> None:
    spec = launch(method, 5, needed_options(method, [5]))
    assert speculative(generation, spec) == expected


@pytest.mark.parametrize("generation", [B9093, B9294, TODAY])
@pytest.mark.parametrize("method", [name for name in METHODS if name.startswith("ngram")])
def test_ngram_methods_since_april_2026(generation: str, method: str) -> None:
    found = speculative(generation, launch(method, 5, needed_options(method, [5])))
    assert found.pop("--spec-type") == method
    length = METHODS[method].draft_length
    if length is not None:
        assert found.pop(f"--{length}") == "5"
    assert set(found) <= {"--spec-ngram-simple-size-n", "--spec-ngram-mod-n-min"}


@pytest.mark.parametrize(
    ("generation", "method", "words"),
    [
        (OLD, "mtp", "march-2026 cannot speculate by mtp.*it has draft-model, ngram-simple"),
        (B9093, "mtp", "cannot speculate by mtp"),
        (B9294, "dflash", "cannot speculate by dflash"),
        (B9093, "ngram-mod+ngram-cache", "cannot chain.*one type"),
        (OLD, "ngram-cache+ngram-mod", "cannot chain"),
        (TODAY, "suffix", "cannot speculate by suffix: not in llama.cpp"),
    ],
)
def test_methods_and_chains_that_a_build_lacks(generation: str, method: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        dialect(generation).arguments(launch(method, 4))


def test_synthetic_acceptance_is_todays() -> None:
    speculation = Speculation("mtp", 3, synthetic=SyntheticAcceptance(2.5))
    assert speculative(TODAY, LaunchSpec(MODEL, speculation, context=2048)) == {
        "--spec-type": "draft-mtp",
        "--spec-draft-n-max": "3",
        "--spec-synth-len": "2.5",
    }
    with pytest.raises(UsageError, match=r"b9294 has no option 'spec-synth-len'.*later"):
        dialect(B9294).arguments(LaunchSpec(MODEL, speculation))


RATES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


@pytest.mark.parametrize(
    ("method", "k", "options", "count"),
    [
        ("mtp", 3, (), 3),
        # A chain's longest draft counts: ngram-cache always makes 8.
        ("mtp+ngram-cache", 3, (), 8),
        ("mtp+ngram-mod", 3, (), 3),
        ("mtp+ngram-mod", 3, (("spec-ngram-mod-n-max", 5),), 5),
        ("mtp+ngram-mod", 3, (("spec-ngram-mod-n-max", 5), ("spec-draft-n-max", 2)), 5),
    ],
)
def test_a_rate_for_every_token_of_the_longest_draft(
    method: str, k: int, options: Options, count: int
) -> None:
    def argv(rates: tuple[float, ...]) -> list[str]:
        speculation = Speculation(method, k, synthetic=SyntheticAcceptance(rates=rates))
        return dialect(TODAY).arguments(LaunchSpec(MODEL, speculation, options))

    found = argv(RATES)
    wanted = ",".join(f"{rate:g}" for rate in RATES[:count])
    assert found[found.index("--spec-synth-rates") + 1] == wanted
    if count > k:
        with pytest.raises(UsageError, match=f"{count - 1} synthetic rates are too few"):
            argv(RATES[: count - 1])


@pytest.mark.parametrize(
    ("generation", "option", "value", "written"),
    [
        (OLD, "spec-draft-p-min", 0.5, ["--draft-p-min", "0.5"]),
        (TODAY, "draft-p-min", 0.5, ["--spec-draft-p-min", "0.5"]),
        (OLD, "spec-draft-ngl", 9, ["--gpu-layers-draft", "9"]),
        (OLD, "spec-draft-type-k", "q8_0", ["--cache-type-k-draft", "q8_0"]),
        (TODAY, "-ot", "exps=CPU,x=CUDA0", ["--override-tensor", "exps=CPU,x=CUDA0"]),
        (TODAY, "ncmoe", 3, ["--n-cpu-moe", "3"]),
        (TODAY, "device", "CUDA0,CUDA1", ["--device", "CUDA0,CUDA1"]),
        (TODAY, "device", "CUDA0/CUDA1", ["--device", "CUDA0,CUDA1"]),
        (TODAY, "ot", "a=CPU/b=CPU", ["--override-tensor", "a=CPU,b=CPU"]),
        (TODAY, "cpu_moe", "on", ["--cpu-moe"]),
        (TODAY, "cpu-moe", "off", []),
        (TODAY, "nkvo", True, ["--no-kv-offload"]),
        (TODAY, "no-kv-offload", "off", ["--kv-offload"]),
        (TODAY, "kv-offload", "off", ["--no-kv-offload"]),
        (TODAY, "no-host", "on", ["--no-host"]),
        (TODAY, "no-mmap", "on", ["--load-mode", "none"]),
        (TODAY, "mlock", True, ["--load-mode", "mmap+mlock"]),
        (TODAY, "mlock", "off", []),
        (B9093, "no-mmap", "on", ["--no-mmap"]),
        (B9093, "mlock", "on", ["--mlock"]),
        (TODAY, "fa", True, ["--flash-attn", "on"]),
        (TODAY, "flash-attn", "auto", ["--flash-attn", "auto"]),
        (TODAY, "control-vector-layer-range", "3 9", ["--control-vector-layer-range", "3", "9"]),
    ],
)
def test_options(generation: str, option: str, value: OptionValue, written: list[str]) -> None:
    plain = dialect(generation).arguments(launch())
    argv = dialect(generation).arguments(launch(options=((option, value),)))
    assert argv == [*plain, *written]


def test_the_users_value_wins_over_what_every_launch_sets() -> None:
    argv = dialect(TODAY).arguments(launch(options=(("-c", 64), ("cache-prompt", "on"))))
    assert argv[argv.index("--ctx-size") + 1] == "64"
    assert argv.count("--ctx-size") == 1
    assert "--cache-prompt" in argv
    assert "--no-cache-prompt" not in argv


@pytest.mark.parametrize(
    ("generation", "options", "words"),
    [
        (TODAY, (("threds", 2),), "b11434 has no option 'threds'; did you mean .*threads"),
        (TODAY, (("kv-unified", "maybe"),), "kv-unified cannot be 'maybe'"),
        (TODAY, (("control-vector-layer-range", "3"),), "takes 2 values"),
        (TODAY, (("control-vector-layer-range", "'3"),), "takes 2 values"),
        (TODAY, (("-m", "x"),), "sets llama.cpp's option model itself"),
        (TODAY, (("spec-type", "none"),), "itself"),
        (TODAY, (("md", "x"),), "itself"),
        (TODAY, (("port", 1),), "itself"),
        (TODAY, (("usage", "on"),), "cannot launch llama-server with help"),
        (TODAY, (("no-slots", "on"),), "cannot launch"),
        (TODAY, (("gpt-oss-20b-default", "on"),), "cannot launch"),
        (TODAY, (("spec-default", "on"),), "cannot launch"),
        (TODAY, (("fim-qwen-7b-spec", "on"),), "cannot launch"),
        (TODAY, (("spec-draft-hf", "a/b"),), "cannot launch"),
        (TODAY, (("verbosity", 0),), "cannot launch"),
        (TODAY, (("mcp-servers-json", "{}"),), "cannot launch"),
        (TODAY, (("spec-draft-ctx-size", 9),), "no option"),
        (TODAY, (("kv-offload", "on"), ("nkvo", "on")), "one option of llama-server"),
    ],
)
def test_options_that_are_refused(generation: str, options: Options, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        dialect(generation).arguments(launch(options=options))


@pytest.mark.parametrize("old", ["draft-max", "draft", "draft-n"])
def test_the_draft_length_is_no_option_by_any_name(old: str) -> None:
    for generation in GENERATIONS:
        with pytest.raises(UsageError, match="sweep it with --draft-tokens"):
            dialect(generation).arguments(launch("draft-model", 3, ((old, 4),)))


def test_two_lengths_for_the_one_flag_of_an_old_build() -> None:
    chain = "ngram-mod+draft-model"
    with pytest.raises(UsageError, match="one option of llama-server march-2026"):
        dialect(OLD).arguments(launch(chain, 4, (("spec-ngram-mod-n-max", 9),)))
    assert "9" in dialect(TODAY).arguments(launch(chain, 4, (("spec-ngram-mod-n-max", 9),)))


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_spelling_of_a_flag_has_one_name(generation: str) -> None:
    build = dialect(generation)
    for flag in build.help.flags:
        for side in (flag.spellings, flag.negative):
            names = {build.canonical(spelling) for spelling in side}
            assert len(names) <= 1, side
            for name in names:
                assert build.canonical(name) == name
    assert build.canonical("-ot") == "override-tensor"
    assert build.canonical("td") == "spec-draft-threads"
    assert build.canonical("ngl") == "n-gpu-layers"
    assert build.canonical("--draft-max") == "spec-draft-n-max"
    assert build.canonical("something_else") == "something-else"


@given(st.sampled_from(GENERATIONS), st.text(max_size=20), st.text(max_size=20))
@settings(max_examples=100)
def test_any_option_is_written_or_refused(generation: str, option: str, value: str) -> None:
    try:
        argv = dialect(generation).arguments(launch(options=((option, value),)))
    except UsageError:
        return
    assert argv[:2] == ["--model", str(MODEL)]


def test_no_name_is_both_of_today_and_of_another_day() -> None:
    others = {other for names in SPELLINGS.values() for other in names}
    assert not others & set(SPELLINGS)
    today = {flag.name for flag in dialect(TODAY).help.flags}
    assert {name for name in SHARED if name not in today} == set()
