"""The calculator against published figures; docs/validation.md is made of the same."""

from __future__ import annotations

import pytest

from benchmarks.model_bytes import Architecture, bytes_of, has_more_bits
from benchmarks.validation import (
    PAGE,
    Rate,
    borrowed_lengths,
    geometric_fit,
    one_point,
    page,
    published,
)
from harness.machine.cards import find_card
from harness.theory.ceiling import decode_ceiling, utilisation

DATA = published()


def test_the_page_is_what_the_code_says_now() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: make validation"


def test_all_published_rates_are_there() -> None:
    assert len(DATA.rates) == 22
    assert {rate.model.name for rate in DATA.rates} == {m.name for m in DATA.models.values()}


@pytest.mark.parametrize("rate", DATA.rates, ids=lambda rate: f"{rate.card.name} {rate.model.name}")
def test_no_rate_beats_its_ceiling_and_its_share_is_the_published_one(rate: Rate) -> None:
    assert 0 < rate.utilisation_of_active <= rate.utilisation + 0.005 <= 1
    assert rate.utilisation == pytest.approx(rate.published, abs=0.01)


@pytest.mark.parametrize("model", DATA.models.values(), ids=lambda model: model.name)
def test_bytes_rebuilt_from_the_architecture_are_the_published_ones(model: Architecture) -> None:
    assert model.bytes_as_published() == pytest.approx(model.gb * 1e9, rel=0.01)
    assert model.active_bytes < model.file_bytes


@pytest.mark.parametrize(
    ("key", "parameters"),
    [
        ("llama-2-7b-f16", 6_738_415_616),
        ("llama-3-8b-f16", 8_030_261_248),
        ("qwen2_5-7b-q8_0", 7_615_616_512),
    ],
)
def test_the_architectures_have_as_many_parameters_as_their_makers_say(
    key: str, parameters: int
) -> None:
    model = DATA.models[key]
    in_f32 = Architecture(**{**model.__dict__, "type": "F32"})
    assert in_f32.file_bytes / 4 == parameters


def test_sizes_of_types() -> None:
    assert bytes_of("Q4_0") == 18 / 32
    assert bytes_of("Q6_K") == 210 / 256
    assert bytes_of("MXFP4") == 17 / 32
    assert sum(has_more_bits(layer, 32) for layer in range(32)) == 16


def test_the_27b_on_a_4090() -> None:
    ceiling = decode_ceiling(find_card("RTX 4090").bytes_per_s, 14e9, 0, 0)
    assert ceiling == pytest.approx(72)
    assert utilisation(68, ceiling) == pytest.approx(0.94, abs=0.005)


def test_the_5090s_sweep_is_reproduced_within_six_per_cent() -> None:
    points = borrowed_lengths(DATA)
    assert [point.draft_tokens for point in points if point.fitted] == [4]
    assert max(abs(point.error) for point in points) < 0.06
    assert max(points, key=lambda point: point.predicted).draft_tokens in (4, 5)
    _, _, fitted = geometric_fit(DATA)
    assert max(abs(point.error) for point in fitted) < 0.04


def test_the_4090s_cliff_is_not_predicted() -> None:
    _, _, (three, four) = one_point(DATA, "mtp-4090")
    assert three.error == pytest.approx(0)
    assert four.predicted > 80 > 10 > four.measured
    text = page()
    assert "does not predict" in text
    assert "+1315%" in text


def test_the_gb10s_sweep_is_in_order_and_ten_per_cent_off() -> None:
    alpha, cost, (two, three) = one_point(DATA, "step-gb10")
    assert 0.5 < alpha < 0.6
    assert cost > 0.4
    assert two.predicted > three.predicted
    assert two.error == pytest.approx(-0.10, abs=0.01)
