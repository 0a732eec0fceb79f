"""Secrets in stack files: reads and writes what `pulumi config set --secret` writes with a passphrase.

The format is that of Pulumi's passphrase secrets manager (sdk/go/common/resource/config/crypt.go and
pkg/secrets/passphrase): AES-256-GCM under a key from PBKDF2 with SHA-256 and 1,000,000 rounds.
"""

from __future__ import annotations

import base64
import hashlib
import os
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Decrypter", "Encrypter", "decrypter_for"]

_ROUNDS = 1_000_000
_KEY_BYTES = 32
_SALT_BYTES = 8
_NONCE_BYTES = 12
_PROOF = "pulumi"
"""What the salt's own message says when the passphrase fits."""


class Decrypter:
    """Decrypts values of one stack."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def decrypt(self, text: str) -> str:
        """Return the plain text of a `secure:` value. Raises `ValueError` if it is not one or the key does not fit."""
        parts = text.split(":")
        if len(parts) != 3 or parts[0] != "v1":
            raise ValueError("it is not encrypted by a passphrase")
        try:
            nonce, sealed = (base64.b64decode(part, validate=True) for part in parts[1:])
            return self._cipher.decrypt(nonce, sealed, None).decode()
        except (InvalidTag, ValueError):  # not base64, another length, another key, no text
            raise ValueError("it is damaged, or encrypted by another passphrase") from None


class Encrypter:
    """Encrypts values of a stack under a passphrase and a new salt."""

    def __init__(self, passphrase: str) -> None:
        salt = os.urandom(_SALT_BYTES)
        self._cipher = AESGCM(_key(passphrase, salt))
        self.salt = f"v1:{base64.b64encode(salt).decode()}:{self.encrypt(_PROOF)}"
        """The `encryptionsalt` of the stack."""

    def encrypt(self, text: str) -> str:
        """Return the `secure:` value of a text."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, text.encode(), None)
        return ":".join(["v1", *(base64.b64encode(part).decode() for part in (nonce, sealed))])


@lru_cache(maxsize=32)
def _key(passphrase: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", os.fsencode(passphrase), salt, _ROUNDS, _KEY_BYTES)


def decrypter_for(encryption_salt: object) -> Decrypter | str:
    """Return a decrypter for a stack file's `encryptionsalt`, or why there is none.

    The passphrase comes from PULUMI_CONFIG_PASSPHRASE or the file that PULUMI_CONFIG_PASSPHRASE_FILE names.
    """
    if not isinstance(encryption_salt, str):
        return "the stack's secrets are not encrypted by a passphrase"
    parts = encryption_salt.split(":", 2)
    if len(parts) != 3 or parts[0] != "v1":
        return "encryptionsalt has an unknown format"
    try:
        salt = base64.b64decode(parts[1], validate=True)
    except ValueError:
        return "encryptionsalt has an unknown format"
    passphrase = os.environ.get("PULUMI_CONFIG_PASSPHRASE")
    if passphrase is None and (file := os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE")):
        try:
            passphrase = Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            return f"PULUMI_CONFIG_PASSPHRASE_FILE cannot be read: {error.strerror}"
        except UnicodeDecodeError:
            return "PULUMI_CONFIG_PASSPHRASE_FILE is not UTF-8 text"
    if passphrase is None:
        return "PULUMI_CONFIG_PASSPHRASE is not set"
    decrypter = Decrypter(_key(passphrase, salt))
    try:
        proof = decrypter.decrypt(parts[2])
    except ValueError:
        proof = ""
    return decrypter if proof == _PROOF else "PULUMI_CONFIG_PASSPHRASE does not fit this stack"
