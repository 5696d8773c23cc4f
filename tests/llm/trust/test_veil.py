"""Secrets and identifiers: hidden while a model looks, put back where they are a person's, and nothing else hidden."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selo_dagster.llm.trust.identifiers import identifiers_in
from selo_dagster.llm.trust.secrets import secrets_in
from selo_dagster.llm.trust.veil import Veil, hidden_from, without_private
from tests.llm.trust.ordinary import ORDINARY

# In two parts, so that nobody takes a test for a leak.
SECRETS = [
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow" + "x" * 40 + "\n-----END RSA PRIVATE KEY-----", None),
    ("AKIA" + "IOSFODNN7EXAMPLE", None),
    ("ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a", None),
    ("github_pat_" + "11ABCDEFG0abcdefghijkl_" + "m" * 59, None),
    ("glpat-" + "abcDEF123456_7890xyz", None),
    ("xoxb-" + "123456789012-abcdefGHIJKL", None),
    ("sk-" + "proj-abcdefghijklmnop1234567890", None),
    ("sk-ant-" + "api03-abcdefghijklmnop1234567890", None),
    ("sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc", None),
    ("AIza" + "SyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY", None),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P", None),
    ("Bearer " + "abcdef0123456789.ABCDEF", None),
    ("npm_" + "a1B2" * 9, None),
    ("password: hunter2", "hunter2"),
    ("My password is Tr0ub4dor&3!", "Tr0ub4dor&3!"),
    ("Passwort: geheimnis", "geheimnis"),
    ("contraseña: perro99", "perro99"),
    ("senha: gato-azul", "gato-azul"),
    ("mot de passe : lune77", "lune77"),
    ("пароль: кот123", "кот123"),
    ("密码：abc123", "abc123"),
    ("api_key=abcd1234efgh", "abcd1234efgh"),
    ("client secret: s3cr3tvalue", "s3cr3tvalue"),
    ("PIN: 4711a", "4711a"),
    ("postgres://ana:s3cret@db.example/x", "ana:s3cret"),
    ("my password is: hunter2x!", "hunter2x"),
    ("password:  hunter2x", "hunter2x"),
    ('{"password": "hunter2x"}', "hunter2x"),
    ('"api_key": "a8f7e6d5c4b3a291"', "a8f7e6d5c4b3a291"),
    ("DB_PASSWORD=hunter2x", "hunter2x"),
    ("my_password: hunter2x", "hunter2x"),
    ("aws_secret_access_key = wJalrXUtnFEMI", "wJalrXUtnFEMI"),
    ("ŞİFRE: hunter2x", "hunter2x"),
    ("我的密码：abc12345", "abc12345"),
    ("密码是abc12345", "abc12345"),
    ("密钥" + "sk-" + "abcdefghijklmnopqrstuvwxyz012345吧", "abcdefghij"),
    ("キーは" + "ghp_" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ123456です", "ABCDEFGHIJ"),
    ("_" + "sk-" + "abcdefghijklmnopqrstuvwxyz012345_", "abcdefghij"),
]

IDENTIFIERS = [
    ("ana@example.com", "email", None),
    ("ana.maria+news@mail.example.co.uk", "email", None),
    ("josé@exämple.de", "email", None),
    ("+351 912 345 678", "phone", None),
    ("+49 (0)30 901820", "phone", None),
    ("+1-202-555-0143", "phone", None),
    ("0044 20 7946 0018", "phone", "GB"),
    ("912 345 678", "phone", "PT"),
    ("030 901820", "phone", "DE"),
    ("(202) 555-0143", "phone", "US"),
    ("06 12 34 56 78", "phone", "FR"),
    ("DE89 3704 0044 0532 0130 00", "iban", None),
    ("GB29NWBK60161331926819", "iban", None),
    ("PT50 0002 0123 1234 5678 9015 4", "iban", None),
    ("4111 1111 1111 1111", "card", None),
    ("5500-0000-0000-0004", "card", None),
    ("378282246310005", "card", None),
    ("123-45-6789", "id", None),
    ("390.533.447-05", "id", None),
    ("12345678Z", "id", None),
    ("RSSMRA85T10A562S", "id", None),
    ("131052-308T", "id", None),
    ("811228-9874", "id", None),
    ("756.9217.0769.85", "id", None),
    ("AB 12 34 56 C", "id", None),
]

BESIDE = [
    ("我的卡号4111111111111111", "我的卡号[card-1]"),
    ("身份证11010519491231002X号", "身份证[id-1]号"),
    ("IBANはDE89370400440532013000です", "IBANは[iban-1]です"),
    ("写信给bob@example.com吧", "写信给[email-1]吧"),
    (
        "bob@example.comへ連絡してくださいとても長い文章が続きますので",
        "[email-1]へ連絡してくださいとても長い文章が続きますので",
    ),
    ("write to _bob@example.com_ please", "write to [email-1]_ please"),
    ("用户@例子.中国", "[email-1]"),
    ("_4111111111111111_", "_[card-1]_"),
    ("AB12 is my seat and DE89 3704 0044 0532 0130 00 my bank", "AB12 is my seat and [iban-1] my bank"),
]

NEITHER = [
    "2026-11-22 21:04:05",
    "22.11.2026 at 14:05",
    "11/22/2026, 9:30 pm",
    "2026-11-22T21:04:00+00:00",
    "From 2019-2023 I lived at 1200 Main Street.",
    "Order 100-2003-77 cost 1,234,567.89 EUR",
    "$12,500.00 and 99.999.999 €",
    "invoice #20261122 and ticket ABC-1234567",
    "run 7f3c2a90-0f1e-4b7e-9d1a-2f3c4d5e6f70",
    "flight TP 1351 at gate 12, seat 23F",
    "ISBN 978-3-16-148410-0",
    "3.14159265358979",
    "the population is 10 467 366",
    "IP 192.168.100.200",
    "coordinates 38.7223, -9.1393",
    "room 1204, floor 12, building 4",
    "score 21:19, 18:21, 21:17",
    "I walked 12345 steps and slept 7 h 30",
    "version 2.31.4.20261122",
    "1111 2222 3333 4444 5555",
    "my password is wrong again",
    "the secret of good bread is time",
    "she keeps the secret: love",
    "a token of my love",
    "the key is under the mat",
    "Basic training begins in March",
    "the bearer of bad news",
    "pin it on the wall",
    "see https://example.com/a?b=1 for it",
    "the password issues1 are gone",
    "我的密码是一样的吗",
    "bob\n@example.com",
]
REGIONS = [None, "US", "PT", "DE", "DK", "NO", "FR", "GB", "BR", "IN"]


@pytest.mark.parametrize(("text", "value"), SECRETS)
def test_a_secret_is_hidden_and_never_put_back(text: str, value: str | None) -> None:
    veil = Veil()
    shown = veil.over(f"Look: {text} and more")
    assert (value or text) not in shown
    assert "[secret-1]" in shown
    assert shown.endswith(" and more")
    assert veil.lifted(json.dumps(shown)) == json.dumps(shown)


@pytest.mark.parametrize(("value", "sort", "region"), IDENTIFIERS)
def test_an_identifier_is_hidden_and_put_back(value: str, sort: str, region: str | None) -> None:
    veil = Veil(region=region)
    shown = veil.over(f"Write to {value}, she said.")
    assert shown == f"Write to [{sort}-1], she said."
    assert json.loads(veil.lifted(json.dumps({"content": shown}))) == {"content": f"Write to {value}, she said."}


@pytest.mark.parametrize(("text", "shown"), BESIDE)
def test_a_letter_of_another_script_or_a_low_line_beside_it_hides_no_identifier(text: str, shown: str) -> None:
    veil = Veil()
    assert veil.over(text) == shown
    assert json.loads(veil.lifted(json.dumps(shown))) == text


@pytest.mark.parametrize("sign", ["\u200b", "\u00ad", "\u2060", "\ufeff", "\ufe01", "\ufe0f", "\u200d", "\u3164"])
def test_what_nobody_sees_hides_no_secret_and_no_identifier(sign: str) -> None:
    veil = Veil()
    shown = veil.over(f"Key sk-abcdefgh{sign}ijklmnopqrstuvwxyz012345, mail bob{sign}@example{sign}.com")
    assert shown == "Key [secret-1], mail [email-1]"
    # What is put back is what was seen.
    assert json.loads(veil.lifted(json.dumps(shown))) == "Key [secret-1], mail bob@example.com"
    assert veil.over("mail bob@example.com") == "mail [email-1]"
    assert without_private(f"bob{sign}@example.com") == "[email]"


def test_what_is_hidden_elsewhere_in_a_text_stays_for_its_quotes() -> None:
    assert Veil().over("Zero\u200bwidth, a@b.example") == "Zero\u200bwidth, [email-1]"


@pytest.mark.parametrize("text", ["[em\u200bail-1]", "[email-\u20601]", "[\ufe0femail-1]", "［ｅｍａｉｌ－１］"])
def test_nobody_forges_a_placeholder_with_what_nobody_sees(text: str) -> None:
    assert Veil().over(f"Write to {text} at once") == "Write to (email 1) at once"


@pytest.mark.parametrize("region", REGIONS)
def test_dates_times_ids_and_prices_are_neither(region: str | None) -> None:
    for text in [*NEITHER, *ORDINARY]:
        assert (text, identifiers_in(text, region), secrets_in(text)) == (text, [], [])


def test_the_same_value_has_the_same_placeholder_within_a_call_and_another_value_another() -> None:
    veil = Veil()
    assert veil.over("a@b.example wrote to c@d.example") == "[email-1] wrote to [email-2]"
    assert veil.over("then c@d.example answered") == "then [email-2] answered"
    assert Veil().over("c@d.example") == "[email-1]"


def test_nobody_forges_a_placeholder() -> None:
    veil = Veil()
    assert veil.over("I am [email-1], mail a@b.example") == "I am (email 1), mail [email-1]"


def test_what_is_put_back_cannot_break_the_document() -> None:
    veil = Veil()
    veil._placeholders["email", 'a"\\\n'] = "[email-1]"
    veil._values["[email-1]"] = 'a"\\\n'
    assert json.loads(veil.lifted('{"content": "[EMAIL-1]"}')) == {"content": 'a"\\\n'}


def test_a_veil_shows_nothing_of_what_it_hides() -> None:
    veil = Veil()
    veil.over("a@b.example")
    assert "a@b" not in repr(veil)


def test_less_can_be_hidden() -> None:
    text = "a@b.example has password: hunter2"
    assert Veil("secrets").over(text) == "a@b.example has password: [secret-1]"
    assert Veil("off").over(text) == text
    assert hidden_from("all", in_process=True) == "secrets"
    assert hidden_from("all", in_process=False) == "all"
    assert hidden_from("off", in_process=True) == "off"


def test_a_log_is_told_what_was_there_and_not_what_it_was() -> None:
    assert (
        without_private("ana@example.com, +351 912 345 678, password: hunter2")
        == "[email], [phone], password: [secret]"
    )


@given(st.text(max_size=200))
def test_any_text_comes_back_as_it_was_if_it_holds_no_secret(text: str) -> None:
    veil = Veil()
    document = json.dumps({"content": veil.over(text)})
    if "[" not in text and not secrets_in(text):
        assert json.loads(veil.lifted(document))["content"] == text
    assert pickle.dumps(document)
