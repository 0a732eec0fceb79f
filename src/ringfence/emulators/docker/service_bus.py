"""The Service Bus emulator in a container, and its database in another.

Sources: Microsoft Learn, "Test locally by using the Azure Service Bus emulator" (the connection string, Config.json,
ACCEPT_EULA, MSSQL_SA_PASSWORD, SQL_SERVER, ports 5672 and 5300) and "Overview of the Azure Service Bus emulator"
(quotas); Config-schema.json and the compose files of github.com/Azure/azure-service-bus-emulator-installer.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from typing import Any

from ringfence.emulators.child import HOST
from ringfence.emulators.docker.containers import DockerEmulator, Part, answers, bind, container_of, has_logged
from ringfence.emulators.docker.images import Images
from ringfence.emulators.interface import EmulatorError

__all__ = ["NAMESPACE", "DockerServiceBus"]

KEY = "SAS_KEY_VALUE"
"""The key that every Service Bus emulator has."""

NAMESPACE = "sbemulatorns"
"""The name of the only namespace. It cannot be changed."""

CONFIG = "/ServiceBus_Emulator/ConfigFiles/Config.json"
AMQP_PORT, ADMINISTRATION_PORT = 5672, 5300
SQL_ALIAS = "sql"


class DockerServiceBus(DockerEmulator):
    """Service Bus: the official emulator in a container, and the SQL Server that it needs in another.

    Both have licences that only you can accept: `ACCEPT_EULA=Y` in the environment.
    """

    service = "service-bus"
    title = "the Service Bus emulator"
    public = ("amqp", "administration")

    def __init__(self, images: Images | None = None, *, entities: Mapping[str, Any] | None = None) -> None:
        """Take the images, and the entities that there are from the start.

        Args:
            images: those that the environment names are used instead.
            entities: the lists `Queues` and `Topics` as Config.json has them. The emulator reads them at its start.
        """
        super().__init__(images)
        self.entities = dict(entities or {})

    def environment(self) -> dict[str, str]:
        """Return the connection strings: for messages, and for making entities.

        Raises:
            EmulatorError: it does not run.
        """
        self.check()
        key = f"SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey={KEY}"
        urls = {name: f"{HOST}:{port}" for name, port in self.ports.items()}
        text = {name: f"Endpoint=sb://{url};{key};UseDevelopmentEmulator=true;" for name, url in urls.items()}
        return {
            "RINGFENCE_SERVICE_BUS_CONNECTION_STRING": text["amqp"],
            "RINGFENCE_SERVICE_BUS_ADMINISTRATION_CONNECTION_STRING": text["administration"],
            "RINGFENCE_SERVICE_BUS_NAMESPACE": urls["amqp"],
        }

    def config(self) -> dict[str, Any]:
        """Return the emulator's configuration file."""
        namespace = {"Name": NAMESPACE, "Queues": [], "Topics": [], **self.entities}
        return {"UserConfig": {"Namespaces": [namespace], "Logging": {"Type": "Console"}}}

    def _containers(self) -> list[Part]:
        from testcontainers.core.network import Network

        if os.environ.get("ACCEPT_EULA") != "Y":
            message = "the Service Bus emulator and SQL Server have licences: set ACCEPT_EULA=Y if you accept them"
            raise EmulatorError(message)
        self._network = Network().create()
        # SQL Server wants upper case, lower case, digits or signs, and at least eight of them.
        password = f"Aa1-{secrets.token_urlsafe(24)}"
        sql = container_of(self.images.sql).with_network(self._network).with_network_aliases(SQL_ALIAS)
        sql.with_env("ACCEPT_EULA", "Y").with_env("MSSQL_SA_PASSWORD", password)
        settings = self._private_folder() / "Config.json"
        settings.write_text(json.dumps(self.config()), encoding="utf-8")
        settings.chmod(0o644)
        broker = container_of(self.images.service_bus).with_network(self._network)
        bind(broker, AMQP_PORT, self.ports["amqp"])
        bind(broker, ADMINISTRATION_PORT, self.ports["administration"])
        broker.with_volume_mapping(str(settings), CONFIG, "ro")
        broker.with_env("ACCEPT_EULA", "Y").with_env("SQL_SERVER", SQL_ALIAS).with_env("MSSQL_SA_PASSWORD", password)
        return [
            (sql, has_logged("SQL Server is now ready for client connections")),
            (broker, answers(self.ports["administration"], "/health")),
        ]
