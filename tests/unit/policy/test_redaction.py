from __future__ import annotations

import pytest

from ringfence.deployment import Archive, Asset, Secret
from ringfence.policy.redaction import Redactor


@pytest.mark.parametrize(
    ("secret", "message", "shown"),
    [
        ("hunter2", "it is hunter2.", "it is [secret]."),
        ("hunter2", "xhunter2x", "x[secret]x"),
        ("ab", "ab is about ab", "[secret] is about [secret]"),
        ("line\nbreak", "it is 'line\\nbreak'", "it is '[secret]'"),
        ("käse12", 'it is "k\\u00e4se12"', 'it is "[secret]"'),
        ("Host=db;Key=abcdefg", "the key abcdefg! and host db", "the key [secret]! and host db"),
        ("my-secret-value", "[my-secret-value] is secret", "[[secret]] is [secret]"),
        (432, "432.0 or 432, not 1432", "[secret] or [secret], not 1432"),
        (True, "it is true", "it is true"),
        ("  ", "a  b", "a  b"),
        ("", "plain", "plain"),
        ({"deep": ["hunter2", {"er": "hunter3"}]}, "hunter2 hunter3 deep", "[secret] [secret] deep"),
        (Archive("assets", {"a": Asset("text", "hunter2")}), "hunter2", "[secret]"),
    ],
)
def test_secrets_are_taken_out(secret: object, message: str, shown: str) -> None:
    assert Redactor({"open": "is it", "list": [{"s": Secret(secret)}]})(message) == shown


def test_without_secrets_a_message_stays() -> None:
    assert Redactor({"open": "value"}, {})("value") == "value"


def test_the_longer_secret_goes_first() -> None:
    assert Redactor({"a": Secret("abcd"), "b": Secret("abcdefgh")})("abcdefgh abcd") == "[secret] [secret]"
