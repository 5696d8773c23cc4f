"""Who may call is decided before anything is read: by token, scope and rate, and a refusal tells nothing."""

from __future__ import annotations

from typing import Any

import pytest

from selo_dagster.errors import SeloError
from selo_dagster.operations.http.api.guard import FAILURES
from selo_dagster.sagas.catalogue.goal_creation import GOAL_CREATION
from selo_dagster.sagas.start import start
from selo_dagster.settings import load_settings
from selo_dagster.store.engine import Store
from tests.operations.http.api import FULL, GOAL, READER, WRITER, WRONG, Api, event
from tests.support.fakes import NOW, add_person

THERE = "a" * 32

READS = ("/api/sagas", f"/api/sagas/{THERE}", "/api/reflections", "/api/due", "/api/alerts")
WRITES: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/api/events", event()),
    ("POST", "/api/one-offs", {"user": "ana", "kind": "one_off", "in": "2h"}),
    ("DELETE", "/api/one-offs/b", None),
    ("POST", "/api/sagas", {"type": "goal_creation", "user": "ana", "input": GOAL}),
    *(("POST", f"/api/sagas/{THERE}/{act}", {"because": "it is right"}) for act in ("retry", "cancel", "compensate")),
)


@pytest.fixture
def store(sqlite_url: str) -> Any:
    """With Ana and a saga of hers: which database it is makes no difference at the door."""
    opened = Store(sqlite_url)
    add_person(opened, "ana")
    with opened.write() as connection:
        start(connection, GOAL_CREATION, user_id="ana", key="k", given=GOAL, now=NOW, new_id=lambda: THERE)
    yield opened
    opened.close()


def setting(text: str) -> str:
    """Return what is said of a wrong setting; it never holds the secret."""
    with pytest.raises(SeloError) as refused:
        load_settings({"SELO_API_TOKENS": text})
    assert refused.value.code == "settings"
    assert "ssss" not in refused.value.message
    return refused.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("s" * 40, "token 1 is not name:scope+scope:secret"),
        (f"a:read:{'s' * 31}", "token 1 needs a secret of at least 32"),
        (f"a:read:{'s' * 31} {'s' * 9}", "token 1 needs a secret of at least 32 visible"),
        (f"a:raed:{'s' * 40}", "token 1 has a scope that there is not: use read, events, one_offs, sagas"),
        (f"a b:read:{'s' * 40}", "token 1 needs a name"),
        (f"a:read:{'s' * 40},", "token 2 is not"),
        (f"a:read:{'s' * 40},a:read:{'s' * 41}", "token 2 has the name of another one"),
        (f"a:read:{'s' * 40},b:read:{'s' * 40}", "token 2 has the secret of another one"),
    ],
)
def test_a_wrong_token_in_the_settings_is_named_by_its_number(text: str, said: str) -> None:
    assert f"SELO_API_TOKENS: {said}" in setting(text)


def test_a_token_in_the_settings_is_in_no_representation() -> None:
    settings = load_settings({"SELO_API_TOKENS": f"a:read+events:{'s' * 30}:{'s' * 30}"})
    (token,) = settings.tokens
    assert (token.name, token.scopes, token.secret) == ("a", frozenset({"read", "events"}), f"{'s' * 30}:{'s' * 30}")
    assert "ssss" not in repr(settings) + repr(token)


@pytest.mark.parametrize("rate", ["0/minute", "often", "1/minute;2/hour"])
def test_a_wrong_rate_in_the_settings_is_refused(rate: str) -> None:
    with pytest.raises(SeloError, match="SELO_API_RATE: must be a rate such as 600/minute"):
        load_settings({"SELO_API_RATE": rate})


@pytest.mark.parametrize("token", [None, WRONG, "", "f" * 41])
def test_without_a_right_token_every_call_is_refused_and_nothing_is_told(store: Store, token: str | None) -> None:
    api = Api(store)
    before = api.rows()
    for path in (*READS, "/api/sagas/nothing"):
        response = api("GET", path, token=token)
        assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
        assert response.headers["www-authenticate"] == 'Bearer realm="selo"'
    for method, path, body in WRITES:
        assert api.code(method, path, token=token, json=body) == (401, "unauthorized")
    assert api.rows() == before


@pytest.mark.parametrize("header", ["Basic " + FULL, FULL, f"Bearer{FULL}", "Bearer", f"Bearer {FULL} {FULL}"])
def test_a_header_of_another_form_is_no_token(store: Store, header: str) -> None:
    assert Api(store).code("GET", "/api/due", token=None, headers={"Authorization": header}) == (401, "unauthorized")


def test_a_token_does_only_what_its_scopes_allow(store: Store) -> None:
    api = Api(store)
    before = api.rows()
    for path in READS:
        assert api("GET", path, token=READER).status_code == 200
        assert api.code("GET", path, token=WRITER) == (403, "insufficient_scope")
    for method, path, body in WRITES:
        assert api.code(method, path, token=READER, json=body) == (403, "insufficient_scope")
    for method, path, body in WRITES[1:]:
        assert api.code(method, path, token=WRITER, json=body) == (403, "insufficient_scope")
    assert api.rows() == before
    assert api("POST", "/api/events", token=WRITER, json=event()).status_code == 200
    refused = api("POST", "/api/one-offs", token=WRITER, json={})
    assert 'error="insufficient_scope", scope="one_offs"' in refused.headers["www-authenticate"]


def test_a_refusal_says_the_same_of_what_is_there_and_what_is_not(store: Store) -> None:
    api = Api(store)
    for token in (None, WRITER):
        there, not_there = (api("GET", f"/api/sagas/{one}", token=token).json() for one in (THERE, "b" * 32))
        assert there.pop("instance") != not_there.pop("instance")
        assert there == not_there


def test_a_caller_is_refused_before_the_body_is_read(store: Store) -> None:
    api = Api(store)
    for content in (b"{", b"x" * (2 << 20), b""):
        assert api.code("POST", "/api/sagas", token=WRONG, content=content) == (401, "unauthorized")
        assert api.code("POST", "/api/sagas", token=READER, content=content) == (403, "insufficient_scope")


def test_without_tokens_everybody_reads_and_nobody_writes(store: Store) -> None:
    api = Api(store, SELO_API_TOKENS="")
    before = api.rows()
    for path in READS:
        assert api("GET", path, token=None).status_code == 200
    for method, path, body in WRITES:
        response = api(method, path, token=FULL, json=body)
        assert (response.status_code, response.json()["code"]) == (403, "no_tokens")
        assert "SELO_API_TOKENS" in response.json()["detail"]
    assert api.rows() == before


def test_a_token_that_writes_too_often_is_told_when_to_come_again(store: Store) -> None:
    api = Api(store, SELO_API_RATE="2/hour")
    for number in range(2):
        assert api("POST", "/api/events", json=event(f"e{number}")).status_code == 200
    refused = api("POST", "/api/events", json=event("e2"))
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert 3_500 < int(refused.headers["retry-after"]) <= 3_600
    # Others write, and it reads, all the same.
    assert api("POST", "/api/events", token=WRITER, json=event("e3")).status_code == 200
    assert api("GET", "/api/due").status_code == 200


def test_wrong_tokens_of_one_address_are_answered_a_few_times_a_minute(store: Store) -> None:
    api = Api(store)
    most = int(FAILURES.partition("/")[0])
    assert [api("GET", "/api/due", token=WRONG).status_code for _ in range(most + 2)] == [401] * most + [429] * 2
    assert api("GET", "/api/due").status_code == 200
    assert api("GET", "/livez", token=WRONG).status_code == 200
