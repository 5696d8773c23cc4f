"""Which ids are taken, and which become partition keys as they stand."""

from __future__ import annotations

import pytest

from selo_dagster.errors import SeloError
from selo_dagster.people.keys import checked_id, partition_key, random_key


def token() -> str:
    return "u_made"


@pytest.mark.parametrize("user_id", ["ana", "A-1_b", "a.b.c", "0", "x" * 200])
def test_a_plain_id_is_its_own_key(user_id: str) -> None:
    assert partition_key(user_id, pseudonymous=False, token=token) == user_id


@pytest.mark.parametrize(
    "user_id", [".a", "a.", "a..b", "a b", "a/b", "a|b", "a[b]", "josé", "a\n", "٣", "…", "a,b", "*", ""]
)
def test_any_other_id_gets_a_random_key(user_id: str) -> None:
    assert partition_key(user_id, pseudonymous=False, token=token) == "u_made"


def test_a_pseudonymous_installation_never_uses_the_id() -> None:
    assert partition_key("ana", pseudonymous=True, token=token) == "u_made"


def test_random_keys_are_plain_and_differ() -> None:
    made = {random_key() for _ in range(100)}
    assert len(made) == 100
    assert all(partition_key(key, pseudonymous=False, token=token) == key for key in made)


@pytest.mark.parametrize("value", ["ana", "josé", "アナ", "a b", "user|1", "x" * 200, "🙂"])
def test_an_id_may_be_nearly_anything(value: str) -> None:
    assert checked_id(value, "id") == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "x" * 201,
        "a\0",
        "a\nb",
        "a\x7f",
        "a\x85b",
        "a\u202eb",
        "\ufeffa",
        " a",
        "a ",
        "a\u3000",
        "\ud800",
        "a\ue000",
    ],
)
def test_an_id_that_cannot_be_seen_or_stored_is_refused(value: str) -> None:
    with pytest.raises(SeloError, match=r"^conversation must be 1 to 200 characters") as refused:
        checked_id(value, "conversation")
    assert refused.value.code == "bad_id"
