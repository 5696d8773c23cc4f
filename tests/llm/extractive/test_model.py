"""What holds for any day."""

from __future__ import annotations

import re
import subprocess
import sys
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selo_dagster.llm.citations import Sources, citation_of
from selo_dagster.llm.extractive import ExtractiveModel
from selo_dagster.llm.extractive.wording import clean
from selo_dagster.llm.figures import unsourced
from selo_dagster.llm.protocol import CompletionRequest, LanguageModel
from selo_dagster.people.persona import INITIAL_TRAITS
from tests.llm.extractive.days import answered, day, document, message, sources
from tests.llm.extractive.hostile import JOINERS, length, many, requests, strings_of


class TestWhateverTheDay:
    @many
    @given(requests())
    def test_the_text_keeps_its_bounds_and_every_field_its_shape(self, request: CompletionRequest) -> None:
        answer = document(request)
        low, high = request.words
        assert low <= length(answer["content"]) <= high
        assert len(answer["content"]) <= 4_000
        assert 1 <= len(answer["themes"]) <= 3
        assert len(set(answer["themes"])) == len(answer["themes"])
        assert all(0 < len(theme) <= 40 and theme == theme.lower() for theme in answer["themes"])
        assert 1 <= len(answer["insights"]) <= 3
        assert all(0 < len(insight["text"]) <= 300 for insight in answer["insights"])
        assert 1 <= len(answer["actions"]) <= 3
        assert all(0 < len(action) <= 160 for action in answer["actions"])
        mood = answer["emotional_state"]
        assert mood["primary"]
        assert 0 <= mood["intensity"] <= 1
        assert len({mood["primary"], *mood["secondary"]}) == 1 + len(mood["secondary"]) <= 3
        changes = answer["trait_changes"]
        assert len({one["name"] for one in changes}) == len(changes) <= 2
        assert {one["name"] for one in changes} <= {trait.name for trait in INITIAL_TRAITS}
        assert all(0 < abs(one["delta"]) <= 0.05 for one in changes)
        assert all(re.fullmatch("[A-Z][a-z ]{1,80}[.]", one["reason"]) for one in changes)

    @many
    @given(requests())
    def test_an_answer_never_cites_an_alias_that_was_not_shown(self, request: CompletionRequest) -> None:
        shown = {one.alias for one in request.evidence}
        for insight in document(request)["insights"]:
            assert 1 <= len(insight["evidence"]) <= 3
            assert set(sources(insight)) <= shown
            assert len(set(sources(insight))) == len(insight["evidence"])

    @many
    @given(requests())
    def test_every_citation_stands_in_its_source_and_every_number_has_one(self, request: CompletionRequest) -> None:
        shown = Sources({one.alias: one.text for one in request.evidence})
        beside = [request.subject, request.covers, *(tag for one in request.evidence for tag in one.tags)]
        for insight in document(request)["insights"]:
            passages, codes = shown.held(citation for one in insight["evidence"] if (citation := citation_of(one)))
            assert codes == ()
            cited = {one.source for one in passages}
            texts = [text for one in request.evidence if one.alias in cited for text in (one.text, one.local)]
            assert unsourced(insight["text"], [*beside, *texts]) is None

    @many
    @given(requests())
    def test_the_same_request_gives_the_same_bytes(self, request: CompletionRequest) -> None:
        assert answered(request).text.encode() == answered(request).text.encode()

    @many
    @given(requests())
    def test_no_string_holds_a_control_format_or_broken_character(self, request: CompletionRequest) -> None:
        for text in strings_of(document(request)):
            assert not [one for one in text if unicodedata.category(one)[0] == "C" and one not in JOINERS]

    @many
    @given(st.lists(st.text("abcdefg ,é", min_size=1, max_size=200), min_size=1, max_size=30))
    def test_no_sentence_is_said_twice(self, texts: list[str]) -> None:
        content = document(day(*(message(number, text) for number, text in enumerate(texts, start=1))))["content"]
        said = re.split(r"(?<=[.”]) (?=[A-Z“])", content)
        assert len(said) == len(set(said))

    @many
    @given(st.lists(st.text(max_size=200), min_size=1, max_size=8))
    def test_quotes_keep_the_words_exactly(self, texts: list[str]) -> None:
        without_marks = [re.sub("[“”]", "", text) for text in texts]
        content = document(day(*(message(number, text) for number, text in enumerate(without_marks, 1))))["content"]
        sources = [clean(text) for text in without_marks]
        for quote in re.findall("“([^”]*)”", content):
            assert any(quote.removesuffix("…") in source for source in sources)

    @pytest.mark.parametrize("text", ["ok", "", "The bread rose at four. " * 90, "好" * 9_000])
    @pytest.mark.parametrize("subject", ["Ana", "Kofi", "Mei", "Ruth"])
    def test_the_answer_says_that_it_is_an_extract_by_rules(self, text: str, subject: str) -> None:
        content = document(day(message(1, text), subject=subject))["content"]
        assert "extract" in content
        assert "rules" in content
        assert "without a language model" in content


class TestBounds:
    @pytest.mark.parametrize("text", ["ok", "", " \n\t", "\x00", "🙂", "x" * 100_000, "好" * 9_000, "شكرا", "?"])
    @pytest.mark.parametrize("words", [(70, 200), (70, 250), (120, 250)])
    def test_one_source_of_any_size_fills_a_day(self, text: str, words: tuple[int, int]) -> None:
        low, high = words
        assert low <= length(document(day(message(1, text), words=words))["content"]) <= high

    def test_five_hundred_long_messages_fit_into_a_day(self) -> None:
        long = [message(number, f"Number {number} of many. " + "and so on it went " * 300) for number in range(1, 501)]
        assert 70 <= length(document(day(*long, omitted=90))["content"]) <= 200

    @pytest.mark.parametrize("words", [(70, 100), (150, 300), (190, 200)])
    def test_bounds_that_cannot_always_be_kept_are_refused(self, words: tuple[int, int]) -> None:
        with pytest.raises(ValueError, match="words"):
            answered(day(message(1, "Hello"), words=words))

    def test_a_request_without_evidence_is_refused(self) -> None:
        with pytest.raises(ValueError, match="no evidence"):
            answered(day())

    def test_another_task_is_refused_by_name(self) -> None:
        with pytest.raises(ValueError, match="poem"):
            answered(replace(day(message(1, "Hello")), task="poem"))  # type: ignore[arg-type]


class TestWhoSaidIt:
    def test_the_model_is_named_and_counts_no_tokens(self) -> None:
        model: LanguageModel = ExtractiveModel()
        answer = answered(day(message(1, "Hello")))
        assert (model.name, answer.model) == ("extractive", "extractive")
        assert (answer.input_tokens, answer.output_tokens, answer.finish_reason) == (0, 0, "stop")
        assert answer.seconds >= 0

    def test_the_text_does_not_depend_on_the_process(self) -> None:
        program = (
            "import asyncio; from tests.llm.extractive.days import *; "
            "print(ascii(answered(day(message(1, 'We laughed by a river'), memory(2, 'A river', 0.4, 'a', 'b'))).text))"
        )
        told = {
            subprocess.run(
                [sys.executable, "-c", program],
                env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
                check=True,
                capture_output=True,
            ).stdout
            for seed in ("1", "2")
        }
        assert len(told) == 1
