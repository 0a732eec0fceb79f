"""Which images the Docker back ends run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

__all__ = ["VARIABLES", "Images"]

PREFIX = "RINGFENCE_IMAGE_"


@dataclass(frozen=True)
class Images:
    """Which images are run. `RINGFENCE_IMAGE_AZURITE` and so on override them, one by one."""

    azurite: str = "mcr.microsoft.com/azure-storage/azurite:3.37.0"
    cosmos: str = "mcr.microsoft.com/cosmosdb/linux/azure-cosmos-emulator:vnext-preview"
    service_bus: str = "mcr.microsoft.com/azure-messaging/servicebus-emulator:latest"
    sql: str = "mcr.microsoft.com/mssql/server:2022-latest"
    """The database that the Service Bus emulator keeps its messages in."""

    aws: str = "localstack/localstack:4.14.0"
    """The last LocalStack that starts without a token. `LOCALSTACK_AUTH_TOKEN` is handed on when it is set."""

    moto: str = "motoserver/moto:5.2.5"
    """What answers for SageMaker, auto scaling and X-Ray beside LocalStack; empty if the AWS image does itself."""

    def overridden(self, environment: Mapping[str, str] | None = None) -> Images:
        """Return these images with those that the environment names."""
        found = os.environ if environment is None else environment
        return replace(self, **{name: found[key] for name, key in VARIABLES.items() if key in found})


VARIABLES = {field.name: PREFIX + field.name.upper() for field in fields(Images)}
"""Image to the variable that names another one."""
