"""An answer that many ask for is computed once, kept as long as it is cheap, and waited for only at first."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from selo_dagster.operations.http.cached import Cached


@dataclass
class Dear:
    """An answer that takes some seconds of a clock of its own; counts how often it was computed."""

    takes_s: float = 0.0
    now_s: float = 0.0
    computed: int = 0
    fails: bool = False
    began: threading.Event = field(default_factory=threading.Event)
    may_end: threading.Event = field(default_factory=threading.Event)

    def compute(self) -> int:
        self.computed += 1
        self.began.set()
        self.may_end.wait(20)
        self.now_s += self.takes_s
        if self.fails:
            raise ValueError(self.computed)
        return self.computed

    def cached(self) -> Cached[int]:
        return Cached(self.compute, least_s=1.0, most_s=30.0, monotonic=lambda: self.now_s)


def test_a_cheap_answer_is_kept_for_a_second() -> None:
    dear = Dear()
    dear.may_end.set()
    cached = dear.cached()
    assert [cached.get(), cached.get()] == [1, 1]
    dear.now_s += 0.9
    assert cached.get() == 1
    dear.now_s += 0.2
    assert cached.get() == 2


def test_a_dear_one_is_kept_so_long_that_it_takes_a_twentieth_of_the_time() -> None:
    dear = Dear(takes_s=0.5)
    dear.may_end.set()
    cached = dear.cached()
    assert cached.get() == 1
    dear.now_s += 9.9
    assert cached.get() == 1
    dear.now_s += 0.2
    assert cached.get() == 2
    dear.takes_s = 100.0
    dear.now_s += 11
    assert cached.get() == 3
    dear.now_s += 31
    assert cached.get() == 4


def test_while_one_computes_the_others_get_the_last_answer() -> None:
    dear = Dear()
    dear.may_end.set()
    cached = dear.cached()
    assert cached.get() == 1
    dear.now_s += 2
    dear.began.clear()
    dear.may_end.clear()
    renewing = threading.Thread(target=cached.get)
    renewing.start()
    assert dear.began.wait(20)
    assert (cached.at_hand, cached.get()) == (True, 1)
    dear.may_end.set()
    renewing.join()
    assert (cached.get(), dear.computed) == (2, 2)


def test_an_answer_is_at_hand_while_it_is_young_and_never_before_the_first() -> None:
    dear = Dear()
    cached = dear.cached()
    first = threading.Thread(target=cached.get)
    first.start()
    assert dear.began.wait(20)
    found = [cached.at_hand]
    dear.may_end.set()
    first.join()
    found.append(cached.at_hand)
    dear.now_s += 2
    found.append(cached.at_hand)
    assert found == [False, True, False]


def test_the_first_who_ask_wait_for_one_computation() -> None:
    dear = Dear()
    cached = dear.cached()
    found: list[int] = []
    asking = [threading.Thread(target=lambda: found.append(cached.get())) for _ in range(8)]
    for one in asking:
        one.start()
    assert dear.began.wait(20)
    dear.may_end.set()
    for one in asking:
        one.join()
    assert (found, dear.computed) == ([1] * 8, 1)


def test_an_error_is_raised_to_all_until_it_is_over() -> None:
    dear = Dear(fails=True)
    dear.may_end.set()
    cached = dear.cached()
    for _ in range(2):
        with pytest.raises(ValueError, match="1"):
            cached.get()
    dear.fails = False
    dear.now_s += 2
    assert cached.get() == 2
