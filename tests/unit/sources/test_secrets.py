from __future__ import annotations

import base64
from pathlib import Path

import pytest

from ringfence.sources.secrets import Decrypter, decrypter_for
from tests.unit.sources.projects import KEY, PASSPHRASE, SALT, encrypted, encryption_salt

OTHER_KEY = bytes(32)


@pytest.fixture(autouse=True)
def _no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)


@pytest.mark.parametrize("text", ["hunter2", "", "größe 😀", "a:b:c", "x" * 5000])
def test_what_was_encrypted_is_decrypted(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)

    decrypter = decrypter_for(encryption_salt())

    assert isinstance(decrypter, Decrypter)
    assert decrypter.decrypt(encrypted(text)) == text


def test_a_value_that_the_cli_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The salt stands in the Pulumi CLI's own tests (pkg/secrets/passphrase/manager_test.go); its passphrase too."""
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "password")

    decrypter = decrypter_for("v1:fozI5u6B030=:v1:F+6ZduKKd8G0/V7L:PGMFeIzwobWRKmEAzUdaQHqC5mMRIQ==")

    assert isinstance(decrypter, Decrypter)


def test_the_passphrase_comes_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "passphrase"
    file.write_text(f"{PASSPHRASE}\n")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(file))

    assert isinstance(decrypter_for(encryption_salt()), Decrypter)


def test_the_variable_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(tmp_path / "none"))

    assert isinstance(decrypter_for(encryption_salt()), Decrypter)


NO_SALT = [
    (None, "the stack's secrets are not encrypted by a passphrase"),
    (5, "the stack's secrets are not encrypted by a passphrase"),
    ("", "encryptionsalt has an unknown format"),
    ("v1:abc", "encryptionsalt has an unknown format"),
    ("v2:YWJj:v1:YWJj:YWJj", "encryptionsalt has an unknown format"),
    ("v1:not base64:v1:YWJj:YWJj", "encryptionsalt has an unknown format"),
    ("v1:größe:v1:YWJj:YWJj", "encryptionsalt has an unknown format"),
    (encryption_salt(), "PULUMI_CONFIG_PASSPHRASE is not set"),
]


@pytest.mark.parametrize(("salt", "reason"), NO_SALT)
def test_why_there_is_no_decrypter(salt: object, reason: str) -> None:
    assert decrypter_for(salt) == reason


@pytest.mark.parametrize("text", ["hunter2", "v1:a", "v2:YWJj:YWJj", "v1:YWJj:YWJj", "v1:größe:YWJj", "v1::", "::::"])
def test_a_proof_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    salt = f"v1:{base64.b64encode(SALT).decode()}:{text}"

    assert decrypter_for(salt) == "PULUMI_CONFIG_PASSPHRASE does not fit this stack"


def test_a_passphrase_of_another_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)

    assert decrypter_for(encryption_salt(OTHER_KEY)) == "PULUMI_CONFIG_PASSPHRASE does not fit this stack"


def test_a_passphrase_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(tmp_path / "none"))
    assert decrypter_for(encryption_salt()) == (
        "PULUMI_CONFIG_PASSPHRASE_FILE cannot be read: No such file or directory"
    )
    (tmp_path / "latin").write_bytes("größe".encode("latin-1"))
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(tmp_path / "latin"))
    assert decrypter_for(encryption_salt()) == "PULUMI_CONFIG_PASSPHRASE_FILE is not UTF-8 text"


DAMAGED = [
    ("hunter2", "it is not encrypted by a passphrase"),
    ("AAABAFoo", "it is not encrypted by a passphrase"),
    ("v2:YWJj:YWJj", "it is not encrypted by a passphrase"),
    ("v1:YWJj:YWJj", "it is damaged, or encrypted by another passphrase"),
    ("v1:größe:YWJj", "it is damaged, or encrypted by another passphrase"),
    ("v1::", "it is damaged, or encrypted by another passphrase"),
    (encrypted("hunter2", OTHER_KEY), "it is damaged, or encrypted by another passphrase"),
]


@pytest.mark.parametrize(("text", "reason"), DAMAGED)
def test_a_value_that_cannot_be_decrypted(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        Decrypter(KEY).decrypt(text)
