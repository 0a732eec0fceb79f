"""Small Pulumi projects in a temporary folder, and secrets as the Pulumi CLI encrypts them."""

from __future__ import annotations

import base64
import hashlib
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ringfence.deployment import Deployment
from ringfence.sources.interface import Request
from ringfence.sources.project import EmbeddedSource

PASSPHRASE = "correct horse"
SALT = b"8 bytes."


def _key() -> bytes:
    # One salt for all tests: deriving a key takes a while, and the product remembers it.
    return hashlib.pbkdf2_hmac("sha256", PASSPHRASE.encode(), SALT, 1_000_000, 32)


KEY = _key()


def encrypted(text: str, key: bytes = KEY, nonce: bytes = b"twelve bytes") -> str:
    """Return `text` as it stands under `secure:` in a stack file."""
    sealed = AESGCM(key).encrypt(nonce, text.encode(), None)
    return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"


def encryption_salt(key: bytes = KEY) -> str:
    """Return the `encryptionsalt` of a stack file."""
    return f"v1:{base64.b64encode(SALT).decode()}:{encrypted('pulumi', key)}"


def write_project(folder: Path, files: Mapping[str, str] | None = None, **stacks: str) -> Path:
    """Write a project: Pulumi.yaml and an empty program unless `files` has others, and a file for each stack."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"Pulumi.yaml": "name: shop\nruntime: python\n", "__main__.py": "", **(files or {})}
    contents |= {f"Pulumi.{stack}.yaml": text for stack, text in stacks.items()}
    for name, text in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return folder


def evaluate(folder: Path, stack: str = "dev", **request: Any) -> Deployment:
    return EmbeddedSource().evaluate(Request(project=folder, stack=stack, **request))


def exported(folder: Path, stack: str = "dev", **request: Any) -> Mapping[str, Any]:
    """Return what the program exports; the test fails if the program does."""
    deployment = evaluate(folder, stack, **request)
    assert deployment.error is None, deployment.error
    return deployment.outputs


def failure(folder: Path, stack: str = "dev", **request: Any) -> str:
    """Return why the project cannot be evaluated, with its folder left out."""
    error = evaluate(folder, stack, **request).error
    assert error is not None
    return error.message.replace(f"{folder}/", "")
