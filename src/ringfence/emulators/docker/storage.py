"""Azurite in a container.

Sources: Azurite's README, "Run Azurite V3 docker image", "Customized Storage Accounts & Keys", "HTTPS setup" and
"OAuth configuration" (github.com/Azure/Azurite).
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from ringfence.emulators.azurite import DEFAULT_ACCOUNT, check_account, storage_environment
from ringfence.emulators.certificates import write_certificate
from ringfence.emulators.child import HOST
from ringfence.emulators.docker.containers import DockerEmulator, Part, container_of, has_logged
from ringfence.emulators.docker.images import Images
from ringfence.emulators.interface import EmulatorError

__all__ = ["DockerAzurite"]

CERTIFICATE, KEY = "certificate.pem", "key.pem"
MOUNTED = "/ringfence"
"""Where a container finds its certificate."""


class DockerAzurite(DockerEmulator):
    """Storage: Azurite in a container. With `tls` it accepts token credentials beside keys, as the process does."""

    service = "storage"
    title = "Azurite"
    public = ("blob", "queue", "table")

    def __init__(
        self,
        images: Images | None = None,
        *,
        accounts: Sequence[str] = (DEFAULT_ACCOUNT,),
        tls: bool = False,
    ) -> None:
        """Take the settings.

        Args:
            images: those that the environment names are used instead.
            accounts: names of the storage accounts. Each gets a random key.
            tls: whether to speak HTTPS, by a certificate of its own, and take token credentials.

        Raises:
            ValueError: an account's name is not one.
        """
        super().__init__(images)
        for account in accounts:
            check_account(account)
        self._keys = {account: b64encode(secrets.token_bytes(64)).decode() for account in accounts}
        self._first = accounts[0]
        self._tls = tls

    def environment(self, account: str | None = None) -> dict[str, str]:
        """Return the connection string and the endpoints of an account; the first one unless another is named.

        Raises:
            EmulatorError: it does not run.
        """
        self.check()
        account = self._first if account is None else account
        scheme = "https" if self._tls else "http"
        endpoints = {name: f"{scheme}://{HOST}:{port}/{account}" for name, port in self.ports.items()}
        found = storage_environment(account, self._keys[account], endpoints)
        return found | ({"RINGFENCE_STORAGE_CA_FILE": str(self.ca_file)} if self._tls else {})

    @property
    def ca_file(self) -> Path:
        """The certificate to trust, for an SDK's `connection_verify`. With `tls` only.

        Raises:
            EmulatorError: it does not run, or without TLS.
        """
        self.check()
        if not self._tls:
            raise EmulatorError("Azurite runs without TLS and has no certificate")
        return self._private_folder() / CERTIFICATE

    def _containers(self) -> list[Part]:
        command = "azurite --silent --disableTelemetry --inMemoryPersistence --skipApiVersionCheck"
        command += "".join(f" --{name}Host 0.0.0.0 --{name}Port {port}" for name, port in self.ports.items())
        container = container_of(self.images.azurite, *self.ports.values())
        if self._tls:
            folder = self._private_folder()
            if not (folder / CERTIFICATE).exists():
                write_certificate(folder / CERTIFICATE, folder / KEY)
            container.with_volume_mapping(str(folder), MOUNTED, "ro")
            command += f" --oauth basic --cert {MOUNTED}/{CERTIFICATE} --key {MOUNTED}/{KEY}"
        container.with_command(command)
        container.with_env("AZURITE_ACCOUNTS", ";".join(f"{account}:{key}" for account, key in self._keys.items()))
        return [(container, has_logged("Azurite Table service is successfully listening"))]
