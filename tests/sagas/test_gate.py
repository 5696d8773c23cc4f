"""The gate: a saga that could not be undone, or not be carried out, is refused with its name when it is declared."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from selo_dagster.errors import SeloError
from selo_dagster.sagas.catalogue.goal_creation import GOAL_CREATION
from selo_dagster.sagas.compiler import job_of
from selo_dagster.sagas.definition import Compensation, Retry, Saga, Step
from selo_dagster.sagas.given import Given, Probed
from selo_dagster.sagas.registry import Registry, registry_of
from selo_dagster.sagas.start import remember_definition
from selo_dagster.store.engine import Store
from tests.sagas.builders import (
    DIAMOND,
    FORKED,
    LINE,
    PIVOTED,
    Kept,
    Looked,
    Made,
    Model,
    Passed,
    Room,
    Seen,
    cancel,
    effect,
    look,
    make,
    one_way,
    reading,
    saga_of,
)

ROOT = Path(__file__).parent.parent.parent
Wrong = tuple[str, str, Callable[[], object]]


class Lossy(Model):
    """Less than what is recorded."""

    goal_id: str


class Tolerant(BaseModel):
    """Takes what it knows and leaves the rest."""

    model_config = ConfigDict(extra="ignore")
    goal_id: str


class More(Model):
    """Asks for what nobody records."""

    goal_id: str
    before: str


class Maybe(Model):
    """Asks for more, and does without."""

    goal_id: str
    fail: str = ""
    times: int = 0
    before: str = "nothing"


class OtherForm(Model):
    """The same names in another form."""

    goal_id: int
    fail: str = ""
    times: int = 0


class Needy(Model):
    """Needs something that no step makes."""

    weather: str


async def later(_given: Given, _seen: Seen) -> Made:
    """Never called."""
    return Made(goal_id="")


def too_few(_given: Given) -> Made:
    """Takes no input."""
    return Made(goal_id="")


def too_many(_given: Given, _seen: Seen, _more: int) -> Made:
    """Takes more than it is given."""
    return Made(goal_id="")


def by_name_only(*, given: Given, seen: Seen) -> Made:
    """Cannot be called by position."""
    return Made(goal_id=given.token + seen.before)


def with_a_default(_given: Given, _seen: Seen, _more: int = 0) -> Made:
    """Takes something of its own beside."""
    return Made(goal_id="")


def whatever(*_arguments: Any) -> Made:
    """Takes everything."""
    return Made(goal_id="")


def ask(_given: Given, _seen: Any) -> Probed:
    """Cannot tell."""
    return Probed("unknown")


def never_runs(_given: Given, _kept: Kept) -> Any:
    """Is a generator: when called it does nothing at all."""
    yield


def local() -> Any:
    """Return a handler that a later version could not find."""

    def inside(_given: Given, _seen: Seen) -> Made:
        return Made(goal_id="")

    return inside


def undo(handler: Any = cancel, accepts: type[BaseModel] = Kept, **changes: Any) -> Compensation:
    """Return an undo."""
    return Compensation(handler=handler, accepts=accepts, **changes)


def bad(*steps: Step, **changes: Any) -> Callable[[], object]:
    """Return what declares the saga."""
    return lambda: saga_of("test_bad", *steps, **changes)


STEP_FAULTS: list[Wrong] = [
    # What there is an undo for.
    ("one", "needs a compensation, or else a stated reason", bad(effect("one", compensation=None, records=None))),
    ("one", "needs a compensation, or else a stated reason", bad(effect("one", irreversible="it was said out loud"))),
    ("look", "is a read step and has an undo", bad(reading(compensation=undo(), records=Kept), effect("one"))),
    (
        "look",
        "is a generate step and has an undo",
        bad(reading(kind="generate", compensation=undo(), records=Kept), effect("one")),
    ),
    ("look", "says why it cannot be undone", bad(reading(irreversible="nothing happens here"), effect("one"))),
    ("look", "records something", bad(reading(records=Kept), effect("one", after=("look",)))),
    ("turn", "is a pivot step: there is no way back", bad(one_way("turn", "pivot", compensation=undo(), records=Kept))),
    (
        "last",
        "is a retriable step: there is no way back",
        bad(one_way("turn", "pivot"), one_way("last", "retriable", after=("turn",), compensation=undo(), records=Kept)),
    ),
    # What it is given.
    ("one", "records nothing", bad(effect("one", records=None))),
    ("turn", "records something and has no undo", bad(one_way("turn", "pivot", records=Kept))),
    ("one", "needs 'before', which the step does not record", bad(effect("one", compensation=undo(accepts=More)))),
    ("one", "records 'goal_id' in another form", bad(effect("one", compensation=undo(accepts=OtherForm)))),
    ("one", "records 'fail', which its undo refuses", bad(effect("one", compensation=undo(accepts=Lossy)))),
    # Outside.
    ("one", "has an effect outside and no probe", bad(effect("one", outside=True))),
    ("one", "has a probe and no effect outside", bad(effect("one", probe=ask))),
    ("look", "is a read step and has an effect outside", bad(reading(outside=True), effect("one", after=("look",)))),
    ("turn", "has an effect outside and no probe", bad(one_way("turn", "pivot", outside=True))),
    # Handlers.
    ("one", "has a nameless action", bad(effect("one", action=lambda _given, _seen: None))),
    ("one", "has a nameless action", bad(effect("one", action=functools.partial(make)))),
    ("one", "has a nameless compensation", bad(effect("one", compensation=undo(lambda _given, _kept: None)))),
    ("one", "has a nameless probe", bad(effect("one", outside=True, probe=lambda _given, _seen: Probed("unknown")))),
    ("one", "has a action inside another function", bad(effect("one", action=local()))),
    ("one", "has an async action", bad(effect("one", action=later))),
    ("one", "has an async compensation", bad(effect("one", compensation=undo(later)))),
    ("one", "action that does not take", bad(effect("one", action=too_few))),
    ("one", "action that does not take", bad(effect("one", action=too_many))),
    ("one", "action that does not take", bad(effect("one", action=by_name_only))),
    ("one", "compensation that does not take", bad(effect("one", compensation=undo(too_few)))),
    ("one", "probe that does not take", bad(effect("one", outside=True, probe=too_many))),
    # Where its input comes from.
    ("two", "nobody produces that", bad(effect("one"), effect("two", before="nothing"))),
    (
        "two",
        "one has no field 'weather'",
        bad(effect("one"), effect("two", takes={"wanted": "input.wanted", "before": "one.weather"})),
    ),
    ("one", "input has no field 'weather'", bad(effect("one", takes={"wanted": "input.weather"}))),
    ("one", "nobody produces that", bad(effect("one", takes={"wanted": "wanted"}))),
    ("one", "nobody produces that", bad(effect("one", takes={"wanted": "input."}))),
    (
        "one",
        "takes 'weather', which its input does not have",
        bad(effect("one", takes={"wanted": "input.wanted", "weather": "input.wanted"})),
    ),
    ("one", "needs 'wanted' and nobody gives it", bad(effect("one", takes={}))),
    ("one", "needs 'weather' and nobody gives it", bad(effect("one", input=Needy, takes={}))),
    ("one", "takes 'before' from itself", bad(effect("one", before="one", output=Made))),
    ("one", "comes after 'nothing', which is no step", bad(effect("one", after=("nothing",)))),
    ("one", "comes after itself", bad(effect("one", after=("one",)))),
    # The point of no return.
    (
        "last",
        "is retriable, and there is no pivot before it",
        bad(effect("one"), one_way("last", "retriable", before="one")),
    ),
    (
        "last",
        "does not come after the pivot",
        bad(one_way("last", "retriable"), one_way("turn", "pivot", before="last")),
    ),
    ("two", "does not come before the pivot", bad(one_way("turn", "pivot"), effect("two", before="turn"))),
    (
        "two",
        "does not come before the pivot",
        bad(effect("one"), one_way("turn", "pivot", before="one"), effect("two", before="one")),
    ),
    # Where it leads.
    ("look", "leads nowhere", bad(effect("one"), reading())),
    ("peek", "leads nowhere", bad(reading(), effect("one", after=("look",)), reading("peek", after=("one",)))),
    # Limits.
    ("one", "waits 90 s at first and at most 30 s", bad(effect("one", retry=Retry(base_s=90.0, cap_s=30.0)))),
    (
        "one",
        "waits 90 s at first and at most 30 s",
        bad(effect("one", compensation=undo(retry=Retry(base_s=90.0, cap_s=30.0)))),
    ),
]
SAGA_FAULTS: list[tuple[str, Callable[[], object]]] = [
    ("there are two steps 'one'", bad(effect("one"), effect("one"))),
    ("a step must not be called 'input'", bad(effect("input"))),
    (
        "steps 'one', 'two' wait for each other in a circle",
        bad(effect("one", before="two"), effect("two", before="one")),
    ),
    (
        "steps 'b', 'c', 'd' wait for each other",
        bad(effect("a"), effect("b", before="d"), effect("c", before="b"), effect("d", before="c")),
    ),
    (
        "one way of no return, not several: first, second",
        bad(one_way("first", "pivot"), one_way("second", "pivot", before="first")),
    ),
    ("changes nothing: a saga without an effect is no saga", bad(reading())),
    ("goes first and has no pivot", lambda: saga_of("test_bad", effect("a"), goes_first=True)),
    (
        "its steps may take 120 s together, longer than its deadline of 100 s",
        bad(effect("one"), effect("two"), deadline_s=100.0),
    ),
    ("steps: Tuple should have at least 1 item", bad()),
    ("steps: Tuple should have at most 30 items", bad(*(effect(f"s{number}") for number in range(31)))),
    ("deadline_s: Input should be greater than 0", bad(effect("one"), deadline_s=0.0)),
    ("deadline_s: Input should be a finite number", bad(effect("one"), deadline_s=float("inf"))),
    ("deadline_s: Input should be less than", bad(effect("one"), deadline_s=1e9)),
    ("undo_days: Input should be greater", bad(effect("one"), undo_days=-1)),
    ("generations: Input should be less", bad(effect("one"), generations=11)),
    ("generations: Input should be greater", bad(effect("one"), generations=0)),
    ("version: Input should be greater", bad(effect("one"), version=0)),
    ("duplicates: Input should be 'existing' or 'reject'", bad(effect("one"), duplicates="ignore")),
    ("says: String should have at least", bad(effect("one"), says="")),
    ("input: Input should be a subclass of BaseModel", bad(effect("one"), input=dict)),
    ("weather: Extra inputs are not permitted", bad(effect("one"), weather="fine")),
]
FIELD_FAULTS: list[dict[str, Any]] = [
    {"timeout_s": 0.0},
    {"timeout_s": float("inf")},
    {"timeout_s": float("nan")},
    {"timeout_s": 86_401.0},
    {"kind": "maybe"},
    {"says": ""},
    {"irreversible": "no"},
    {"weather": "fine"},
    {"action": "make"},
    {"output": dict},
    {"compensation": cancel},
    {"name": "Not a name"},
    {"name": "n" * 41},
]


@pytest.mark.parametrize(
    ("step", "fault", "declare"), STEP_FAULTS, ids=[f"{index}" for index in range(len(STEP_FAULTS))]
)
def test_a_step_that_cannot_be_carried_out_or_undone_is_refused_by_name(
    step: str, fault: str, declare: Callable[[], object]
) -> None:
    with pytest.raises(SeloError) as refused:
        declare()
    assert refused.value.code == "bad_saga"
    assert refused.value.message.startswith(f"the saga 'test_bad': step '{step}' ")
    assert fault in refused.value.message


@pytest.mark.parametrize(("fault", "declare"), SAGA_FAULTS, ids=[f"{index}" for index in range(len(SAGA_FAULTS))])
def test_a_saga_whose_whole_does_not_hold_together_is_refused_by_name(
    fault: str, declare: Callable[[], object]
) -> None:
    with pytest.raises(SeloError) as refused:
        declare()
    assert refused.value.code == "bad_saga"
    assert refused.value.message.startswith("the saga 'test_bad': ")
    assert fault in refused.value.message


@pytest.mark.parametrize("changes", FIELD_FAULTS, ids=[f"{index}" for index in range(len(FIELD_FAULTS))])
def test_a_step_with_a_field_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises((SeloError, ValidationError)):
        effect(**{"name": "one", **changes})


@pytest.mark.parametrize(
    "limits",
    [{"attempts": 0}, {"attempts": 21}, {"base_s": 0.0}, {"cap_s": float("inf")}, {"cap_s": 86_401.0}, {"tries": 3}],
    ids=str,
)
def test_limits_without_a_bound_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Retry(**limits)


def test_a_step_that_is_refused_for_a_field_of_its_own_is_named() -> None:
    with pytest.raises((SeloError, ValidationError)) as refused:
        bad(effect("one"), effect("broken", timeout_s=0.0))()
    assert "broken" in str(refused.value)


def test_a_name_that_cannot_be_one_is_refused_and_cut() -> None:
    with pytest.raises(SeloError) as refused:
        saga_of("Not a name", effect("one"))
    assert refused.value.message.startswith("the saga 'Not a name': name: ")


@pytest.mark.parametrize("name", ["claim", "settle", "verdict", "forward", "compensation"])
def test_a_step_that_is_called_like_a_part_of_its_job_is_refused(name: str) -> None:
    with pytest.raises(SeloError) as refused:
        saga_of("test_bad", effect(name))
    assert (refused.value.code, repr(name) in refused.value.message) == ("bad_saga", True)


def test_a_step_that_is_called_like_the_undo_of_another_is_refused() -> None:
    with pytest.raises(SeloError) as refused:
        saga_of("test_bad", effect("one"), effect("undo_one", before="one"))
    assert "undo_one" in refused.value.message


def test_an_undo_that_would_never_run_is_refused() -> None:
    # Called, a generator function does nothing and returns: the step would be said to be undone.
    with pytest.raises(SeloError) as refused:
        saga_of("test_bad", effect("one", compensation=undo(never_runs)))
    assert "step 'one'" in refused.value.message


def test_a_handler_whose_arguments_nobody_can_tell_is_refused_like_any_other() -> None:
    with pytest.raises(SeloError):
        saga_of("test_bad", effect("one", action=max))


GOOD: list[Callable[[], Saga]] = [
    lambda: GOAL_CREATION,
    lambda: LINE,
    lambda: DIAMOND,
    lambda: FORKED,
    lambda: PIVOTED,
    lambda: saga_of("test_good", effect("one")),
    lambda: saga_of("test_good", one_way("turn", "pivot")),
    lambda: saga_of("test_good", one_way("turn", "pivot", irreversible="it was said out loud")),
    lambda: saga_of("test_good", effect("one", compensation=None, records=None, irreversible="it was said out loud")),
    lambda: saga_of("test_good", effect("one", outside=True, probe=ask)),
    lambda: saga_of("test_good", one_way("turn", "pivot", outside=True, probe=ask)),
    lambda: saga_of("test_good", effect("one", compensation=undo(accepts=Tolerant))),
    lambda: saga_of("test_good", effect("one", compensation=undo(accepts=Maybe))),
    lambda: saga_of("test_good", effect("one", action=whatever)),
    lambda: saga_of("test_good", effect("one", action=with_a_default)),
    # Declared in any order, with names that only look like ours.
    lambda: saga_of("test_good", effect("two", before="one"), effect("one")),
    lambda: saga_of("test_good", effect("undo"), effect("inputs", before="undo")),
    # Wide, deep, and both: diamonds in a row.
    lambda: saga_of("test_good", *(effect(f"s{number}") for number in range(30))),
    lambda: saga_of(
        "test_good", effect("s0"), *(effect(f"s{number}", before=f"s{number - 1}") for number in range(1, 30))
    ),
    lambda: saga_of(
        "test_good",
        effect("a"),
        effect("b", before="a"),
        effect("c", before="a"),
        effect("d", before="b", after=("c",)),
        effect("e", before="d"),
        effect("f", before="d"),
        effect("g", before="e", after=("f",)),
    ),
    # Several ways to the pivot and from it, and reading on all sides.
    lambda: saga_of(
        "test_good",
        reading(),
        effect("a", after=("look",)),
        effect("b"),
        one_way("turn", "pivot", before="a", after=("b",)),
        reading("again", after=("turn",)),
        one_way("c", "retriable", after=("again",)),
        one_way("d", "retriable", before="turn"),
    ),
    lambda: saga_of(
        "test_good",
        reading("think", kind="generate"),
        effect(
            "one", input=Passed, action=look, output=Looked, takes={"wanted": "input.wanted", "goals": "think.goals"}
        ),
    ),
    lambda: saga_of("test_good", effect("one", timeout_s=60.0), deadline_s=60.0),
]


@pytest.mark.parametrize("declare", GOOD, ids=[f"{index}" for index in range(len(GOOD))])
def test_what_can_be_carried_out_is_not_refused_and_makes_a_job(declare: Callable[[], Saga]) -> None:
    saga = declare()
    order = [step.name for step in saga.order]
    assert sorted(order) == sorted(step.name for step in saga.steps)
    for step in saga.steps:
        assert all(order.index(need) < order.index(step.name) for need in step.needs)
    assert job_of(saga).name == f"saga_{saga.name}"


def test_a_type_has_one_definition_of_a_version() -> None:
    one, same, other = ModuleType("one"), ModuleType("same"), ModuleType("other")
    one.A = same.B = saga_of("test_good", effect("one"))  # type: ignore[attr-defined]
    other.C = saga_of("test_good", effect("two"))  # type: ignore[attr-defined]
    assert list(registry_of([one, same]).by_version) == [("test_good", 1)]
    with pytest.raises(SeloError) as refused:
        registry_of([one, other])
    assert refused.value.message == "the saga 'test_good': there are two of version 1"


def test_the_newest_version_is_started_and_an_unknown_type_is_named_with_what_there_is() -> None:
    versions = {("test_good", number): saga_of("test_good", effect("one"), version=number) for number in (9, 10, 2)}
    known = Registry(versions)
    assert known.type("test_good").version == 10
    with pytest.raises(SeloError) as refused:
        known.type("nothing")
    assert (refused.value.code, "test_good" in refused.value.message) == ("unknown_saga", True)


@pytest.mark.parametrize(
    "changed",
    [
        lambda: saga_of("test_line", effect("one")),
        lambda: saga_of("test_line", *LINE.steps, undo_days=31),
        lambda: saga_of("test_line", *LINE.steps, deadline_s=86_399.0),
        lambda: saga_of("test_line", *LINE.steps[:3], effect("three", before="two", timeout_s=61.0)),
        lambda: saga_of("test_line", *LINE.steps[:3], effect("three", before="one")),
        lambda: saga_of("test_line", *LINE.steps[:3], effect("three", before="two", action=whatever)),
        lambda: saga_of("test_line", *LINE.steps[:3], effect("three", before="two", compensation=undo())),
    ],
)
def test_a_definition_that_was_changed_under_its_version_is_not_started(
    store: Store, changed: Callable[[], Saga]
) -> None:
    room = Room(store)
    room.start(LINE)
    with pytest.raises(SeloError) as refused:
        room.start(changed())
    assert refused.value.code == "changed_definition"
    assert "'test_line'" in refused.value.message
    assert len(room.rows()) == 1


def test_the_same_definition_declared_again_is_the_same(store: Store) -> None:
    same = saga_of("test_line", *LINE.steps)
    assert same.fingerprint == LINE.fingerprint
    with store.write() as connection:
        remember_definition(connection, LINE)
        remember_definition(connection, same)


BAD_MODULE = """
from tests.sagas.builders import effect, saga_of
BROKEN = saga_of("half_thought", effect("one", compensation=None, records=None))
"""


def python(tmp_path: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of this environment where SELO_SAGA_MODULES names a module with a saga that is refused."""
    (tmp_path / "companions_sagas.py").write_text(module)
    environment = os.environ | {
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
        "SELO_SAGA_MODULES": "companions_sagas",
        "SELO_HOME": str(tmp_path / "selo"),
        "DAGSTER_HOME": str(tmp_path),
        "COLUMNS": "400",
    }
    return subprocess.run(
        [str(Path(sys.executable).parent / arguments[0]), *arguments[1:]],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(
    "command",
    [
        ("python", "-c", "import selo_dagster.definitions"),
        ("dagster", "definitions", "validate", "-m", "selo_dagster.definitions"),
        ("selo", "saga", "check"),
    ],
    ids=["python", "dagster", "selo"],
)
def test_a_companions_saga_that_is_refused_stops_the_code_location_with_its_name(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = python(tmp_path, BAD_MODULE, *command)
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert "the saga 'half_thought': step 'one' needs a compensation" in said


def test_a_companions_saga_that_is_good_is_part_of_the_code_location(tmp_path: Path) -> None:
    good = BAD_MODULE.replace(", compensation=None, records=None", "")
    program = "from selo_dagster.sagas.registry import registry; print(*registry().newest)"
    done = python(tmp_path, good, "python", "-c", program)
    assert {"goal_creation", "half_thought"} <= set(done.stdout.split())


def test_a_companions_module_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = python(tmp_path, "import nothing_like_this", "python", "-c", "import selo_dagster.definitions")
    assert done.returncode != 0
    assert "SELO_SAGA_MODULES: 'companions_sagas' cannot be imported (ModuleNotFoundError)" in done.stderr
