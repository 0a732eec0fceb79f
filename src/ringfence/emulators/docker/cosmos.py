"""The vNext emulator of Cosmos DB in a container.

Source: Microsoft Learn, "Linux-based emulator - vNext (preview)": the table "Docker commands" (PORT, PROTOCOL,
GATEWAY_PUBLIC_ENDPOINT, ENABLE_EXPLORER, ENABLE_TELEMETRY), "Health probes" (/ready on port 8080), and that it enforces
no authentication.
"""

from __future__ import annotations

from ringfence.emulators.child import HOST
from ringfence.emulators.docker.containers import DockerEmulator, Part, answers, bind, container_of

__all__ = ["COSMOS_KEY", "DockerCosmos"]

COSMOS_KEY = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="
"""The key that every Cosmos DB emulator has. Source: Microsoft Learn, "Develop locally using the emulator"."""

HEALTH_PORT = 8080


class DockerCosmos(DockerEmulator):
    """Cosmos DB: the vNext emulator in a container, over HTTP.

    It tells clients to come to the address and port that it is published at: they need no settings of their own.
    """

    service = "cosmos"
    title = "the Cosmos DB emulator"
    public = ("gateway", "health")

    @property
    def endpoint(self) -> str:
        """The URL of the account."""
        return f"http://{HOST}:{self.ports['gateway']}/"

    def environment(self) -> dict[str, str]:
        """Return the endpoint and the key.

        Raises:
            EmulatorError: it does not run.
        """
        self.check()
        return {"RINGFENCE_COSMOS_ENDPOINT": self.endpoint, "RINGFENCE_COSMOS_KEY": COSMOS_KEY}

    def _containers(self) -> list[Part]:
        port = self.ports["gateway"]
        # Inside it is the same port, since the account's document names it.
        container = container_of(self.images.cosmos, port)
        bind(container, HEALTH_PORT, self.ports["health"])
        for name, value in (
            ("PORT", str(port)),
            ("GATEWAY_PUBLIC_ENDPOINT", HOST),
            ("PROTOCOL", "http"),
            ("ENABLE_EXPLORER", "false"),
            ("ENABLE_TELEMETRY", "false"),
        ):
            container.with_env(name, value)
        return [(container, answers(self.ports["health"], "/ready"))]
