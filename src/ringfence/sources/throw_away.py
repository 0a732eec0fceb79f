"""A throw-away place for the Pulumi CLI: home, file backend, passphrase and copies of the stacks' config files.

Nothing of the user's is read from there or written to: no login is needed, and no state of a real stack is touched.
The formats of the backend's files are those of pulumi/pulumi, pkg/backend/diy and sdk/go/common/apitype; the CLI must
read its older versions for ever.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ringfence.sources.pulumi_yaml import ProjectFile, load_yaml
from ringfence.sources.stack_config import StackConfig, split_stack, stack_file, stack_names
from ringfence.wire import UNKNOWN_SENTINEL

__all__ = ["DEFAULT_STACK", "ThrowAway", "default_stack", "throw_away", "write_config"]

DEFAULT_STACK = "dev"
_PLACEHOLDER = "placeholder"


@dataclass
class ThrowAway:
    """The folder, and what was said about it."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    """What to set for the CLI, over the user's environment."""
    notes: list[str] = field(default_factory=list)

    @property
    def own_backend(self) -> bool:
        """Whether the backend is the throw-away one."""
        return "PULUMI_BACKEND_URL" in self.environment

    def add_stack(self, project: str, stack: str, outputs: Mapping[str, Any] | None = None) -> None:
        """Make an empty stack, or one that has only outputs, in the throw-away backend; another one is left alone."""
        name = split_stack(stack)[1]
        if not self.own_backend or "/" in project:
            return
        place = self.folder / "state" / ".pulumi" / "stacks" / project / f"{name}.json"
        if place.exists():
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        meta = self.folder / "state" / ".pulumi" / "meta.yaml"
        meta.write_text("version: 1\n", encoding="utf-8")
        latest = _state(project, name, outputs) if outputs is not None else None
        checkpoint = {"stack": f"organization/{project}/{name}", "latest": latest}
        place.write_text(json.dumps({"version": 3, "checkpoint": checkpoint}), encoding="utf-8")

    def copy_config(self, project: ProjectFile, stack: str, *, preview: bool) -> Path:
        """Return a copy of a stack's config file that the CLI may write to.

        Without a passphrase of the user's, secrets in it cannot be read. They become secrets that are unknown in a
        preview, and a placeholder otherwise, since an update takes no unknown.
        """
        original = stack_file(project, stack)
        copy = self.folder / "config" / project.name / original.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        data = load_yaml(original) if original.is_file() else None
        if not isinstance(data, Mapping):
            copy.write_bytes(original.read_bytes() if original.is_file() else b"")
            return copy
        changed = dict(data)
        for key in ("environment", "mainEnvironment"):
            if changed.pop(key, None):
                self.notes.append(f"{original.name}: {key}: values from Pulumi ESC are left out.")
        own = "PULUMI_CONFIG_PASSPHRASE" in self.environment
        secure = [key for key, value in (data.get("config") or {}).items() if _holds_secure(value)]
        foreign = str(data.get("secretsprovider") or "passphrase") not in ("passphrase", "default")
        if own or foreign:
            for key in ("encryptionsalt", "encryptedkey", "secretsprovider"):
                changed.pop(key, None)
            if secure:
                self._replace_secrets(changed, original, secure, UNKNOWN_SENTINEL if preview else _PLACEHOLDER)
        if changed == data:
            shutil.copyfile(original, copy)
        else:
            copy.write_text(yaml.safe_dump(changed, sort_keys=False), encoding="utf-8")
        return copy

    def _replace_secrets(self, data: dict[str, Any], original: Path, keys: list[str], text: str) -> None:
        # Imported here: only stacks with secrets need the cipher.
        from ringfence.sources.secrets import Encrypter

        passphrase = self.environment.get("PULUMI_CONFIG_PASSPHRASE", os.environ.get("PULUMI_CONFIG_PASSPHRASE", ""))
        encrypter = Encrypter(passphrase)
        data["encryptionsalt"] = encrypter.salt
        data["config"] = {key: _sealed(value, encrypter.encrypt(text)) for key, value in data["config"].items()}
        what = "unknown" if text == UNKNOWN_SENTINEL else "a placeholder"
        self.notes.append(
            f"{original.name}: the secrets {', '.join(map(str, keys))} cannot be decrypted: each is {what}."
        )


def _holds_secure(value: Any) -> bool:
    if isinstance(value, Mapping):
        return list(value) == ["secure"] or any(map(_holds_secure, value.values()))
    return isinstance(value, list) and any(map(_holds_secure, value))


def _sealed(value: Any, text: str) -> Any:
    if isinstance(value, Mapping):
        return (
            {"secure": text} if list(value) == ["secure"] else {key: _sealed(item, text) for key, item in value.items()}
        )
    return [_sealed(item, text) for item in value] if isinstance(value, list) else value


def _state(project: str, stack: str, outputs: Mapping[str, Any]) -> dict[str, Any]:
    root = {
        "urn": f"urn:pulumi:{stack}::{project}::pulumi:pulumi:Stack::{project}-{stack}",
        "custom": False,
        "type": "pulumi:pulumi:Stack",
        "inputs": {},
        "outputs": dict(outputs),
    }
    return {"manifest": {"time": "2024-01-01T00:00:00Z", "magic": "", "version": ""}, "resources": [root]}


@contextlib.contextmanager
def throw_away(given: Collection[str] = os.environ.keys()) -> Iterator[ThrowAway]:
    """Make a throw-away place for the length of a block. Variables that are `given` stay as they are."""
    with tempfile.TemporaryDirectory(prefix="ringfence-", ignore_cleanup_errors=True) as name:
        place = ThrowAway(Path(name))
        for folder in ("home", "state"):
            (place.folder / folder).mkdir()
        own = {
            "PULUMI_BACKEND_URL": (place.folder / "state").as_uri(),
            "PULUMI_HOME": str(place.folder / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            # A plugin that is not there is an error at once, instead of a download.
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        if "PULUMI_CONFIG_PASSPHRASE_FILE" not in given:
            own["PULUMI_CONFIG_PASSPHRASE"] = secrets.token_hex(16)
        place.environment = {key: value for key, value in own.items() if key not in given}
        yield place


def write_config(path: Path, config: StackConfig, passphrase: str) -> None:
    """Write a stack's config file with values that were read from another one, its secrets under a passphrase."""
    # Imported here: only stacks with secrets need the cipher.
    from ringfence.sources.secrets import Encrypter

    encrypter = Encrypter(passphrase) if config.secret_keys else None
    values: dict[str, Any] = {}
    for key, text in config.values.items():
        secret = encrypter is not None and key in config.secret_keys
        values[key] = {"secure": encrypter.encrypt(text)} if encrypter is not None and secret else _structured(text)
    data = {"config": values} | ({"encryptionsalt": encrypter.salt} if encrypter is not None else {})
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")


def _structured(text: str) -> Any:
    """Return a list or an object that is written as JSON as such, since the CLI checks the type that is declared."""
    try:
        value = json.loads(text) if text[:1] in ("[", "{") else text
    except (ValueError, RecursionError):
        return text
    return value


def default_stack(project: ProjectFile) -> str:
    """Return the stack that a command is about that names none: the only one, else `dev`, else none."""
    names = stack_names(project)
    if len(names) == 1:
        return names[0]
    return DEFAULT_STACK if not names or DEFAULT_STACK in names else ""
