"""One emulator of AWS for a whole program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from ringfence.deployment import reveal
from ringfence.emulators.interface import Backend, EmulatorError
from ringfence.providers.aws import ACCOUNT, DEFAULT_REGION, region_of
from ringfence.providers.emulated.aws import functions, identity, messaging, monitoring, serving, stores
from ringfence.providers.emulated.aws.calls import Maker, Making
from ringfence.providers.emulated.aws.removal import REMOVERS, Removing, is_absent
from ringfence.providers.emulated.interface import Made
from ringfence.providers.interface import Created, Registration

__all__ = ["AwsEmulator", "AwsService"]

MAKERS: Mapping[str, Maker] = {
    **functions.MAKERS,
    **identity.MAKERS,
    **messaging.MAKERS,
    **monitoring.MAKERS,
    **serving.MAKERS,
    **stores.MAKERS,
}
PREFIX = "aws:"


class AwsEmulator(Protocol):
    """What runs AWS: an `Emulator` in which every account exists."""

    backend: Backend

    def start(self) -> None:
        """Start."""

    def environment(self, account: str) -> dict[str, str]:
        """Return what a program needs to reach an account."""

    def check(self) -> None:
        """Raise `EmulatorError` unless it runs."""

    def stop(self) -> None:
        """Stop."""


class AwsService:
    """All that a program declares in one AWS account. `make` gives an emulator, not started.

    The account is the one that `aws.get_caller_identity` answers, so that ARNs in a program's policies name it.
    """

    name = "aws"
    title = "the AWS emulator"

    def __init__(self, make: Callable[[], AwsEmulator], account: str = ACCOUNT) -> None:
        self._make = make
        self._account = account
        self._region = DEFAULT_REGION
        self._emulator: AwsEmulator | None = None
        self._clients: dict[tuple[str, str], Any] = {}

    def serves(self, token: str) -> bool:
        """Whether resources of this type are made on the emulator."""
        return token.startswith(PREFIX) and token.removeprefix(PREFIX) in MAKERS

    def needs(self, registrations: Iterable[Registration], outputs: Iterable[Mapping[str, Any]]) -> None:
        """Take the region of the first resource: it is the one of the environment."""
        for registration in registrations:
            region = reveal(region_of(registration.provider_inputs, registration.inputs))
            self._region = region if isinstance(region, str) else DEFAULT_REGION
            return

    def start(self) -> None:
        """Start the emulator."""
        if self._emulator is None:
            emulator = self._make()
            emulator.start()
            self._emulator = emulator

    def create(self, registration: Registration, offline: Created) -> Made:
        """Make a resource.

        Raises:
            EmulatorError: it cannot be made.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        self.start()
        region = reveal(region_of(registration.provider_inputs, registration.inputs))
        making = Making(registration, offline, lambda service: self.client(service, str(region)))
        try:
            made: Made = MAKERS[registration.type.removeprefix(PREFIX)](making)
        except (BotoCoreError, ClientError) as error:
            raise EmulatorError(str(error)) from error
        except KeyError as error:
            # Only what is read back is asked for by name without a default.
            raise EmulatorError(f"the AWS emulator answered without {error}") from error
        return made

    def delete(self, registration: Registration, existing: Created) -> str:
        """Delete a resource.

        Raises:
            EmulatorError: it cannot be deleted, as a table with deletion protection.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        if self._emulator is None:
            return ""
        region = reveal(region_of(registration.provider_inputs, registration.inputs))
        removing = Removing(registration, existing, lambda service: self.client(service, str(region)))
        try:
            REMOVERS[registration.type.removeprefix(PREFIX)](removing)
        except ClientError as error:
            if not is_absent(error):
                raise EmulatorError(str(error)) from error
        except BotoCoreError as error:
            raise EmulatorError(str(error)) from error
        return ""

    def client(self, service: str, region: str) -> Any:
        """Return the boto3 client of a service.

        Raises:
            EmulatorError: the emulator does not run, or boto3 is missing.
        """
        if (service, region) not in self._clients:
            try:
                import boto3
                from botocore.config import Config
            except ImportError:
                raise EmulatorError("AWS needs boto3: install ringfence[emulators], which brings it") from None
            variables = self.environment()
            session = boto3.Session(
                aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
                region_name=region,
            )
            own = f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}"
            self._clients[service, region] = session.client(
                service,
                endpoint_url=variables.get(own, variables["AWS_ENDPOINT_URL"]),
                # The user's own settings are about the cloud: proxies and profiles must not come between.
                config=Config(retries={"max_attempts": 2}, read_timeout=60, proxies={}),
            )
        return self._clients[service, region]

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Leave functions to the offline provider: it answers for the same account."""
        return None

    def environment(self) -> dict[str, str]:
        """Return the endpoints, the account's root key and the region."""
        if self._emulator is None:
            return {}
        region = {"AWS_REGION": self._region, "AWS_DEFAULT_REGION": self._region}
        return {**self._emulator.environment(self._account), **region}

    def backends(self) -> set[Backend]:
        """Return what the emulator runs in."""
        return {self._emulator.backend} if self._emulator is not None else set()

    def check(self) -> None:
        """Raise `EmulatorError` if the emulator has ended."""
        if self._emulator is not None:
            self._emulator.check()

    def stop(self) -> None:
        """Stop."""
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()
        emulator, self._emulator = self._emulator, None
        if emulator is not None:
            emulator.stop()
