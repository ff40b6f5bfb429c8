"""Servers that already run: one arm each, set beside the first runner's, whatever comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import harness.manifest
from harness.analysis.summary import summarise
from harness.cli.dry_run import show_plan
from harness.defaults import with_defaults
from harness.estimate import estimate
from harness.gather import gather
from harness.machine.bandwidth import Bandwidth
from harness.manifest import differences, make_manifest
from harness.models.shelf import Shelf
from harness.plan import Plan, make_plan
from harness.records import Arm, Manifest
from harness.report.content import build_report
from harness.run_folder import RunData, RunFolder, read_run
from harness.suite import RunnerSpec, SuiteError, make_suite
from harness.sweep import MOST_LAUNCHES, Sweep
from runners.base.contract import Runner, UsageError
from runners.base.packaging import Packaging
from runners.base.speculation import AS_SERVED, Speculation
from runners.mock import MockRunner
from runners.registry import make_runner
from tests.harness.attached import REMARK, Attached
from tests.harness.test_several_runners import GGUF, MODEL, Reading, shelf
from tests.harness.test_sweep import Recorder

LLAMA_CPP = Reading("llama.cpp", (GGUF,))
MIXED: Mapping[str, Runner] = {"llama.cpp": LLAMA_CPP, "endpoint": Attached()}
URL = "http://localhost:8000/v1"


def plan_of(having: Mapping[str, Runner] = MIXED, /, **changes: Any) -> Plan:
    base = {"runner": list(having), "prompts": 1, "draft_tokens": [2]}
    if any(runner.packagings for runner in having.values()):
        base["model"] = MODEL
    return make_plan(make_suite(base | changes), having, Shelf(shelf))


def by_id(plan: Plan) -> dict[str, Arm]:
    return {arm.id: arm for arm in plan.arms}


# ---- arms --------------------------------------------------------------------------------------


def test_it_is_one_arm_of_its_own_and_has_no_model() -> None:
    plan = plan_of({"endpoint": Attached()})
    (arm,) = plan.arms
    assert (arm.id, arm.baseline, arm.label) == ("as-served", "as-served", "as served")
    assert (arm.method, arm.model, arm.draft_tokens, arm.counterpart) == (
        AS_SERVED,
        None,
        None,
        None,
    )
    assert plan.spec(arm).speculation == Speculation(AS_SERVED)
    assert plan.launches == plan.suite.repeats


def test_methods_lengths_and_drafts_of_the_suite_are_not_crossed_with_it() -> None:
    arms = by_id(
        plan_of(
            methods=["ngram-mod", "draft-model"],
            draft_tokens=[2, 4],
            draft_model={"gguf": "/m/s"},
            arm=[{"method": "mtp", "args": {"threads": 3}}],
        )
    )
    assert [arm.id for arm in arms.values() if arm.runner == "endpoint"] == ["endpoint-as-served"]
    # Of several plain arms the first.
    assert arms["endpoint-as-served"].counterpart == "llama.cpp-none"
    assert arms["endpoint-as-served"].draft_model is None
    assert "llama.cpp-mtp-k4-threads=3" in arms


def test_only_options_of_its_own_go_to_it_beside_others() -> None:
    arms = by_id(
        plan_of(args={"threads": 1}, runners={"endpoint": {"args": {"model": ["a", "b"]}}})
    )
    assert {arm.options for arm in arms.values() if arm.as_served} == {
        (("model", "a"),),
        (("model", "b"),),
    }
    assert arms["endpoint-as-served-model=a"].counterpart == "llama.cpp-none"
    assert arms["endpoint-as-served-model=b"].baseline == "endpoint-as-served-model=b"
    # Alone it takes those of the suite.
    alone = plan_of({"endpoint": Attached()}, args={"model": "a"})
    assert [arm.options for arm in alone.arms] == [(("model", "a"),)]
    with pytest.raises(UsageError, match="no field 'threads'"):
        plan_of({"endpoint": Attached()}, args={"threads": 1})


def test_an_arm_may_set_options_of_its_requests_and_nothing_else() -> None:
    arms = plan_of({"endpoint": Attached()}, arm=[{"args": {"model": "a"}}, {}]).arms
    assert [arm.options for arm in arms] == [(("model", "a"),), ()]
    for changed in ({"method": "mtp"}, {"model": "/m/a"}, {"draft_model": "/m/a"}):
        with pytest.raises(SuiteError, match=r"^\[\[arm\]\] number 2: endpoint is a server that"):
            plan_of(arm=[{"method": "mtp"}, {"runner": "endpoint"} | changed])


def test_the_first_runner_is_what_it_is_set_beside_and_the_other_way_round() -> None:
    arms = by_id(plan_of(methods=["ngram-mod"]))
    assert arms["endpoint-as-served"].counterpart == "llama.cpp-none"
    assert arms["llama.cpp-ngram-mod-k2"].counterpart is None
    turned = {"endpoint": MIXED["endpoint"], "llama.cpp": LLAMA_CPP}
    arms = by_id(plan_of(turned, methods=["ngram-mod"]))
    assert arms["endpoint-as-served"].counterpart is None
    assert arms["llama.cpp-none"].counterpart == "endpoint-as-served"
    assert arms["llama.cpp-ngram-mod-k2"].counterpart is None
    both = {"a": Attached("a"), "b": Attached("b"), "c": Attached("c")}
    assert {arm.runner: arm.counterpart for arm in plan_of(both).arms} == {
        "a": None,
        "b": "a-as-served",
        "c": "a-as-served",
    }


def test_the_time_of_what_nobody_knows_is_not_guessed() -> None:
    plan = plan_of()
    guess = estimate(plan, MIXED)
    assert guess.words == "time unknown: what endpoint serves, and on what, is not known before"


def test_defaults_are_for_what_is_launched() -> None:
    alone = {"endpoint": Attached()}
    assert with_defaults({}, alone) == {}
    assert with_defaults({"draft_model": "x"}, alone) == {"draft_model": "x"}
    settings = with_defaults({"model": "m"}, MIXED)
    assert settings["methods"] == ("ngram-mod",)
    assert "arm" not in settings
    three = {**MIXED, "mlx": Reading("mlx", (Packaging.MLX,), methods=())}
    assert with_defaults({"model": "m"}, three)["arm"] == (
        {"runner": "llama.cpp", "method": "ngram-mod"},
        {"runner": "endpoint", "method": "none"},
        {"runner": "mlx", "method": "none"},
    )


# ---- flags and files ---------------------------------------------------------------------------


def test_a_url_alone_is_a_whole_sweep() -> None:
    suite, runners = gather(None, {"url": URL}, ["model=a"])
    assert suite.runner == ("endpoint",) == tuple(runners)
    assert suite.runners == {"endpoint": RunnerSpec(runner="endpoint", program=URL)}
    assert suite.model is None
    assert suite.methods == ()
    assert runners["endpoint"].attached
    again, _ = gather(None, {}, [], base=suite)
    assert again == suite


def test_a_url_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    file = tmp_path / "suite.toml"
    file.write_text(
        'runner = ["a", "b"]\n'
        f'[runners.a]\nrunner = "endpoint"\nurl = "{URL}"\napi_key_env = "MY_KEY"\n'
        f'[runners.b]\nrunner = "endpoint"\nprogram = "{URL}"\n'
    )
    suite, runners = gather(file, {}, [])
    a, b = suite.runners["a"], suite.runners["b"]
    assert (a.program, a.api_key_env, b.program, b.api_key_env) == (URL, "MY_KEY", URL, None)
    assert all(runner.attached for runner in runners.values())
    assert "sk-secret" not in suite.model_dump_json()
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(SuiteError) as caught:
        gather(file, {}, [])
    assert str(caught.value).startswith(f"{file}: [runners.a], api_key_env: no environment variab")
    with pytest.raises(SuiteError, match=r"^MY_KEY is not set, and a has its key from there$"):
        gather(None, {}, [], base=suite)


def test_flags_win_over_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    file = tmp_path / "suite.toml"
    file.write_text(f'runner = "endpoint"\n[runners.endpoint]\nurl = "{URL}"\n')
    suite, _ = gather(file, {"url": "http://other/v1", "api_key_env": "MY_KEY"}, [])
    assert suite.runners["endpoint"] == RunnerSpec(
        runner="endpoint", program="http://other/v1", api_key_env="MY_KEY"
    )
    # What a file says of methods and models may stay where a flag puts a server in its place.
    file.write_text('methods = ["mtp"]\nmodel = "m.gguf"\n')
    suite, runners = gather(file, {"url": URL}, [])
    assert list(runners) == ["endpoint"]
    (arm,) = make_plan(suite, {"endpoint": Attached()}).arms
    assert (arm.as_served, arm.model) == (True, None)
    assert gather(None, {}, [], base=suite)[0] == suite


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('[runners.endpoint]\nurl = "http://a"\nprogram = "http://b"', "url and program are one"),
        ('[runners.endpoint]\nurl = "http://me:sk-1@a/v1"', "a URL with a user or a password in"),
        ('[runners.endpoint]\nurl = "me:sk-1@a/v1"', "a URL with a user or a password in it"),
        ('[runners.endpoint]\nurl = "http://a/v1?key=sk-1"', "a URL ends with its path here"),
        ('[runners.endpoint]\nurl = "http://a/v1#sk-1"', "a URL ends with its path here"),
        ('[runners.endpoint]\nurl = "http://[sk-1/v1"', "this is no valid URL"),
        ('[runners.endpoint]\napi_key_env = "sk-1"', "api_key_env: expected the name of the envi"),
        ("[runners.endpoint]\napi_key_env = 31", "api_key_env: expected the name of the environ"),
        ('[runners.endpoint]\napi_key = "sk-1"', "api_key: unknown key; did you mean api_key_env"),
        ('[runners.endpoint.args]\napi_key = "sk-1"', "the value of 'api_key' would stand in"),
        ('[runners.mock]\napi_key_env = "HOME"', "api_key_env: only for the runner endpoint"),
        ('[runners.endpoint]\nurls = "x"', "unknown key; did you mean url?"),
        (f'methods = ["mtp"]\n[runners.endpoint]\nurl = "{URL}"', "methods: endpoint is a server"),
        (f'model = "m"\n[runners.endpoint]\nurl = "{URL}"', "model: endpoint is a server that al"),
        (
            f'[runners.endpoint]\nurl = "{URL}"\n[[arm]]\nmethod = "mtp"',
            "[[arm]] number 1, method: endpoint is a server that already runs",
        ),
        (
            f'methods = ["as-served"]\n[runners.endpoint]\nurl = "{URL}"',
            "methods: 'as-served' is no method to choose",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_said_without_the_secret(
    tmp_path: Path, content: str, words: str
) -> None:
    file = tmp_path / "suite.toml"
    file.write_text(f'runner = "endpoint"\n{content}\n')
    with pytest.raises(SuiteError) as caught:
        gather(file, {}, [])
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(file))
    assert "sk-1" not in str(caught.value)
    assert "31" not in str(caught.value).removeprefix(str(file))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"url": "http://u:sk-1@h"}, "--url: a URL with a user or a password in it would stand"),
        ({"url": "http://h/v1?sk-1"}, "--url: a URL ends with its path here"),
        ({"url": URL, "api_key_env": "sk-1"}, "--api-key-env: expected the name of the environme"),
        ({"url": URL, "api_key_env": "sk_1"}, "--api-key-env: no environment variable of that na"),
        ({"api_key_env": "HOME"}, "--api-key-env is for the runner endpoint, which nothing here u"),
        ({"url": URL, "runner": "mock"}, "--url is for the runner endpoint, which nothing here"),
        ({"url": URL, "methods": ("none",)}, "--method: endpoint is a server that already runs"),
        ({"url": URL, "methods": ("as-served",)}, "--method: 'as-served' is no method to choose"),
        ({"url": URL, "draft_tokens": "2"}, "--draft-tokens: endpoint is a server that already r"),
        ({"url": URL, "synthetic_acceptance": "2"}, "--synthetic-acceptance: endpoint is a serve"),
        ({"runner": "mock", "methods": ("as-served",)}, "--method: 'as-served' is no method to c"),
        ({"ollama": "x"}, "--ollama is for the runner ollama, which nothing here uses"),
    ],
)
def test_what_is_wrong_with_flags_is_said_without_the_secret(
    flags: dict[str, Any], words: str
) -> None:
    with pytest.raises(SuiteError) as caught:
        gather(None, flags, [])
    assert str(caught.value).startswith(words)
    assert "sk-1" not in str(caught.value)
    assert "sk_1" not in str(caught.value)


def test_what_one_of_several_refuses_names_it() -> None:
    refusing = {"first": Attached(), "second": Attached()}
    runners = {"second": {"runner": "endpoint", "program": URL, "args": {"nonsense": 1}}}
    with pytest.raises(UsageError, match=r"^second: no field 'nonsense'$"):
        plan_of(refusing, runners=runners)


def test_a_dry_run_says_why_a_server_does_not_answer(capsys: pytest.CaptureFixture[str]) -> None:
    endpoint = make_runner("endpoint", "http://127.0.0.1:1")
    show_plan(plan_of({"endpoint": endpoint}), {"endpoint": endpoint}, as_json=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        "endpoint: the server at http://127.0.0.1:1/v1, of which nothing is known: no connection"
        in shown
    )


def test_the_bandwidth_is_not_measured_for_servers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure() -> Bandwidth:
        raise AssertionError("measured")

    monkeypatch.setattr(harness.manifest, "measure_read_bandwidth", measure)
    alone = {"endpoint": Attached()}
    heard: list[str] = []
    assert make_manifest(plan_of(alone), alone, [], heard.append).machine.bandwidth is None
    assert heard == []


def test_a_run_is_not_gone_on_with_at_another_url() -> None:
    def manifest(url: str) -> Manifest:
        alone = {"endpoint": Attached()}
        runners = {"endpoint": {"runner": "endpoint", "program": url, "api_key_env": "KEY"}}
        return make_manifest(plan_of(alone, runners=runners), alone, [], lambda _: None)

    (difference,) = differences(manifest(URL), manifest("http://other/v1"))
    assert difference == (
        f"[runners.endpoint]: was runner=endpoint, program={URL}, api_key_env=KEY, is now "
        "runner=endpoint, program=http://other/v1, api_key_env=KEY"
    )


def test_a_key_is_for_an_endpoint() -> None:
    with pytest.raises(UsageError, match="the runner mock takes no key"):
        make_runner("mock", api_key_env="HOME")


# ---- sweeps ------------------------------------------------------------------------------------

FAST = {"mock": {"args": {"step-ms": 0.2, "prefill-ms": 0.2}}}


async def sweep(runners: Mapping[str, Runner], path: Path, **changes: Any) -> RunData:
    base = {
        "runner": list(runners),
        "workloads": ["coding"],
        "prompts": 2,
        "max_tokens": 8,
        "repeats": 2,
        "runners": FAST,
        "request_timeout_s": 5,
    }
    plan = make_plan(make_suite(base | changes), runners)
    manifest = make_manifest(plan, runners, ["test"], lambda _: None, measure=False)
    with RunFolder.create(path, manifest) as folder:
        await Sweep(plan, runners, folder, Recorder()).run()
    return read_run(path)


async def test_it_is_measured_beside_a_runner_and_its_text_compared(tmp_path: Path) -> None:
    runners: Mapping[str, Runner] = {"mock": MockRunner(), "endpoint": Attached()}
    run = await sweep(runners, tmp_path / "run")
    own = [sample for sample in run.samples if sample.arm == "endpoint-as-served"]
    assert [sample.status for sample in own] == ["ok"] * 4
    # Of a process that is nobody's to look at there is nothing, and so no doubt.
    assert {(s.machine_cpu_s, s.runner_cpu_s, s.runner_peak_memory) for s in own} == {(None,) * 3}
    assert {launch.remark for launch in run.launches if launch.arm == "endpoint-as-served"} == {
        REMARK
    }
    report = build_report(run)
    row = next(row for row in report.rows if row.arm.as_served)
    assert row.failure is None
    assert row.decode_rate is not None
    assert row.speedup is None
    assert row.tokens_per_burst == 1
    assert REMARK in row.notes
    assert not any("other programs" in note for note in row.notes)
    (group,) = report.side_by_side.groups
    (beside,) = group.others
    assert (group.name(group.reference), group.name(beside)) == ("mock", "endpoint as served")
    assert beside.text is not None
    assert beside.text.verdict == "identical"
    assert beside.start_s is None
    assert "4 of 4 answers are identical" in report.side_by_side.remarks[0]
    assert read_run(tmp_path / "run").manifest.models == ()


async def test_a_server_that_is_gone_is_a_row_at_once_and_the_others_go_on(tmp_path: Path) -> None:
    gone = Attached(ends_after=0)
    run = await sweep({"mock": MockRunner(), "endpoint": gone}, tmp_path / "run")
    assert gone.visits == 1
    rows = {row.arm.id: row for row in summarise(run)}
    assert rows["endpoint-as-served"].failure == (
        "the server cannot be used: no connection to localhost:8000"
    )
    assert rows["mock-none"].failure is None
    assert len(run.samples) == 4
    report = build_report(run)
    assert not any("already ran" in line for line in report.remarks)
    assert report.side_by_side.remarks == ()


async def test_a_server_that_goes_away_is_looked_for_once_more(tmp_path: Path) -> None:
    # A probe is part of the mock's start; the warm-up and one prompt are answered.
    going = Attached(ends_after=2)
    run = await sweep({"mock": MockRunner(), "endpoint": going}, tmp_path / "run")
    assert 2 <= going.visits <= MOST_LAUNCHES
    (row,) = (row for row in summarise(run) if row.arm.as_served)
    assert (row.ok, row.failed) == (1, 1)
    assert any("1 of 2 failed: no connection to localhost:8000" in note for note in row.notes)
    assert any("the server cannot be used" in note for note in row.notes)


async def test_a_request_that_fails_on_a_server_that_lives_costs_that_request(
    tmp_path: Path,
) -> None:
    busy = Attached(refuses=1)
    run = await sweep({"endpoint": busy}, tmp_path / "run", prompts=3, repeats=1)
    assert [sample.status for sample in run.samples] == ["failed", "ok", "ok"]
    assert run.samples[0].reason == "HTTP 429: slow down"
    assert busy.visits == 1
