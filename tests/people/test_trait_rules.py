"""What holds of every trait: names, categories, ranges, homes; the numbers are the predecessor's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selo_dagster.people.persona import INITIAL_TRAITS
from selo_dagster.people.trait_rules import (
    CATEGORIES,
    LEAST_DRIFT,
    RANGES,
    baseline_of,
    category_of,
    clamped,
    drift,
    health_of,
    is_extreme,
    is_known,
    trait_name,
)

values = st.floats(0, 1)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("empathy", "empathy"),
        ("  Emotional Stability ", "emotional_stability"),
        ("Analytical-Thinking", "analytical_thinking"),
        ("problem__solving!", "problem_solving"),
        ("ＣＡＬＭ", "calm"),
        ("Gelassenheit (äußere)", "gelassenheit_äussere"),
        ("好奇心", "好奇心"),
        ("calm2", "calm2"),
        ("x" * 200, "x" * 80),
        (f"{'x' * 79} y", "x" * 79),
    ],
)
def test_a_name_is_small_letters_digits_and_underscores(text: str, name: str) -> None:
    assert trait_name(text) == name


@pytest.mark.parametrize("text", ["", "   ", "…!?", "___", "4711", "2nd nature", "\x00"])
def test_what_holds_no_name_is_none(text: str) -> None:
    assert trait_name(text) is None


@given(st.text(max_size=300))
def test_a_name_is_its_own_name_and_fits_its_column(text: str) -> None:
    name = trait_name(text)
    if name is not None:
        assert 1 <= len(name) <= 80
        assert "\x00" not in name
        assert trait_name(name) == name


def test_every_initial_trait_has_its_category_and_lies_in_its_range() -> None:
    for one in INITIAL_TRAITS:
        assert category_of(one.name) == one.category
        assert one.category in CATEGORIES
        assert clamped(one.value, one.category) == one.value
        assert trait_name(one.name) == one.name


def test_a_trait_that_nobody_knows_is_general_and_at_home_in_the_middle() -> None:
    assert (category_of("wanderlust"), baseline_of("wanderlust")) == ("general", 0.5)


@pytest.mark.parametrize(
    ("category", "low", "high"),
    [("social", 0.2, 1.0), ("emotional", 0.1, 1.0), ("cognitive", 0.0, 1.0), ("general", 0.0, 1.0), ("?", 0.0, 1.0)],
)
def test_a_value_stays_in_the_range_of_its_category(category: str, low: float, high: float) -> None:
    assert (clamped(-3, category), clamped(3, category)) == (low, high)
    assert clamped(0.51, category) == 0.51
    assert (clamped(low, category), clamped(high, category)) == (low, high)


def test_every_range_belongs_to_a_category() -> None:
    assert set(RANGES) <= set(CATEGORIES)


@given(values, st.floats(-1, 1), st.sampled_from(CATEGORIES))
def test_a_value_has_six_decimals_so_that_sums_of_tenths_come_back(value: float, delta: float, category: str) -> None:
    found = clamped(value + delta, category)
    assert found == round(found, 6)
    low, high = RANGES.get(category, (0.0, 1.0))
    assert low <= found <= high


# domain.md §6.2: rate = 0.05 (1 + 0.5 d) (1 - 0.3 stability), moved by (home - value) * rate, if that is 0.01 or more.
@pytest.mark.parametrize(
    ("name", "value", "stability", "delta"),
    [
        ("wanderlust", 1.0, 0.5, -0.5 * 0.05 * 1.25 * 0.85),
        ("wanderlust", 0.0, 0.5, 0.5 * 0.05 * 1.25 * 0.85),
        ("wanderlust", 1.0, 0.0, -0.5 * 0.05 * 1.25),
        ("wanderlust", 1.0, 1.0, -0.5 * 0.05 * 1.25 * 0.7),
        ("stressed", 0.9, 0.5, -0.6 * 0.05 * 1.3 * 0.85),
        ("empathy", 0.3, 0.5, 0.4 * 0.05 * 1.2 * 0.85),
        # Less than a hundredth a day: it stays.
        ("wanderlust", 0.7, 0.5, 0.0),
        ("wanderlust", 0.5, 0.5, 0.0),
        ("helpfulness", 0.9, 0.5, 0.0),
    ],
)
def test_a_trait_drifts_home_by_the_predecessors_numbers(
    name: str, value: float, stability: float, delta: float
) -> None:
    assert drift(name, value, stability) == round(delta, 6)


@given(values, values, st.sampled_from(["wanderlust", "calm", "stressed", "helpfulness"]))
def test_a_drift_goes_home_never_past_it_and_is_worth_the_while_or_nothing(
    value: float, stability: float, name: str
) -> None:
    step = drift(name, value, stability)
    home = baseline_of(name)
    assert step == 0 or abs(step) >= LEAST_DRIFT
    assert abs(home - (value + step)) <= abs(home - value)
    assert (home - value) * step >= 0


def test_a_stable_trait_drifts_less_than_an_unstable_one() -> None:
    assert 0 > drift("wanderlust", 1.0, 1.0) > drift("wanderlust", 1.0, 0.0)


@pytest.mark.parametrize(
    ("name", "home"),
    [
        ("stressed", 0.3),
        ("anxious", 0.25),
        ("overwhelmed", 0.2),
        ("frustrated", 0.3),
        ("calm", 0.6),
        ("confident", 0.65),
        ("content", 0.6),
        ("peaceful", 0.6),
        ("curious", 0.7),
        ("analytical", 0.6),
        ("creative", 0.6),
        ("focused", 0.6),
        ("empathy", 0.7),
        ("helpfulness", 0.75),
        ("patience", 0.6),
        ("politeness", 0.7),
        ("adaptability", 0.65),
        ("openness", 0.7),
    ],
)
def test_the_homes_are_the_predecessors(name: str, home: float) -> None:
    assert baseline_of(name) == home


@pytest.mark.parametrize(("value", "extreme"), [(0.0, True), (0.09, True), (0.1, False), (0.9, False), (0.91, True)])
def test_the_ends_of_the_scale_begin_below_a_tenth_and_above_nine(value: float, extreme: bool) -> None:
    assert is_extreme(value) is extreme


@pytest.mark.parametrize(
    ("persona", "health"),
    [
        ([], "healthy"),
        ([("wanderlust", 0.8)] * 40, "healthy"),
        ([("wanderlust", 0.81)], "monitoring"),
        ([("wanderlust", 0.81)] * 5, "monitoring"),
        ([("wanderlust", 0.81)] * 6, "needs_attention"),
        ([("helpfulness", 0.95)], "monitoring"),
        ([("helpfulness", 0.95)] * 3, "monitoring"),
        ([("helpfulness", 0.95)] * 4, "needs_attention"),
    ],
)
def test_the_health_counts_ends_of_the_scale_and_what_is_far_from_home(
    persona: list[tuple[str, float]], health: str
) -> None:
    assert health_of(persona) == health


def test_a_persona_that_nobody_has_changed_is_healthy_and_does_not_drift() -> None:
    assert health_of((one.name, one.value) for one in INITIAL_TRAITS) == "healthy"
    assert {drift(one.name, one.value, 0.5) for one in INITIAL_TRAITS} == {0.0}


def test_the_names_that_are_ours_are_known_and_a_models_own_are_not() -> None:
    assert all(is_known(one.name) for one in INITIAL_TRAITS)
    assert is_known("calm")
    assert not any(is_known(name) for name in ("wanderlust", "anas_sister", "Calm", ""))
