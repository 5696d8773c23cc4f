"""Every process computes the same ids, and so can a person."""

from __future__ import annotations

import hashlib

import pytest

from selo_dagster.tracing.places import of_obligation, of_run, of_saga


def test_an_obligation_s_trace_is_a_digest_that_a_shell_can_compute() -> None:
    # printf 'selo\0obligation\0%s\0%s\0%s' ana daily 2026-11-22 | sha256sum | cut -c1-32
    digest = hashlib.sha256(b"selo\0obligation\0ana\0daily\x002026-11-22").hexdigest()
    place = of_obligation("ana", "daily", "2026-11-22")
    assert place.trace == digest[:32]
    assert f"{place.span_id:016x}" == digest[32:48]
    assert place.above is None


@pytest.mark.parametrize("other", [("bea", "daily", "k"), ("ana", "weekly", "k"), ("ana", "daily", "l")])
def test_every_other_obligation_has_another_trace(other: tuple[str, str, str]) -> None:
    assert of_obligation(*other).trace_id != of_obligation("ana", "daily", "k").trace_id


def test_parts_that_run_together_are_told_apart() -> None:
    assert of_obligation("a", "bc", "d").trace_id != of_obligation("ab", "c", "d").trace_id


def test_a_saga_that_a_reflection_asked_for_is_in_its_trace_and_has_a_place_of_its_own() -> None:
    reflection = of_obligation("ana", "daily", "2026-11-22")
    place = of_saga("a" * 32, reflection)
    assert (place.trace_id, place.above) == (reflection.trace_id, reflection.span_id)
    assert place.span_id not in {reflection.span_id, of_saga("b" * 32, reflection).span_id}


def test_ids_that_have_the_form_of_a_trace_s_are_its_id() -> None:
    assert of_saga("0c6b7d0e3a2f4d2b9a570d5f9b7e1a11").trace == "0c6b7d0e3a2f4d2b9a570d5f9b7e1a11"
    assert of_run("0c6b7d0e-3a2f-4d2b-9a57-0d5f9b7e1a11").trace == "0c6b7d0e3a2f4d2b9a570d5f9b7e1a11"


@pytest.mark.parametrize("odd", ["run-1", "0" * 32, "A" * 32, "é" * 32, ""])
def test_other_ids_get_a_trace_that_is_valid_all_the_same(odd: str) -> None:
    for place in (of_saga(odd), of_run(odd)):
        assert place.trace_id
        assert place.trace != odd
