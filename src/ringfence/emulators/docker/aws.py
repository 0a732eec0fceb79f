"""LocalStack in a container, and moto in another.

Sources: LocalStack's documentation, "Configuration" (GATEWAY_LISTEN, LOCALSTACK_HOST, DISABLE_EVENTS), "Internal
Endpoints" (/_localstack/health), "Auth Token" (LOCALSTACK_AUTH_TOKEN), "Lambda" (the Docker socket), and its note that
from March 23, 2026 there is a single image that requires authentication: 4.14.0 is the last before. moto's
documentation, "Server Mode" (motoserver/moto, /moto-api/data.json).
"""

from __future__ import annotations

import os
from pathlib import Path

from ringfence.emulators.aws.emulator import DEFAULT_ACCOUNT, OWN_ENDPOINTS, REGION, SECRET_KEY, check_account
from ringfence.emulators.child import HOST
from ringfence.emulators.docker.containers import DockerEmulator, Part, answers, container_of
from ringfence.emulators.docker.daemon import daemon_socket

__all__ = ["DockerAws"]

SOCKET = "/var/run/docker.sock"


class DockerAws(DockerEmulator):
    """AWS: LocalStack in a container, and moto in another for what LocalStack's free edition has not.

    LocalStack runs Lambda functions in containers of their own, so that it gets the daemon's socket, where the daemon
    has one on this machine. An image of ringfence's own emulator can stand in for both: docs/emulators/aws.md.
    """

    service = "aws"
    title = "the AWS emulator"
    public = ("gateway", "moto")

    def environment(self, account: str = DEFAULT_ACCOUNT) -> dict[str, str]:
        """Return the variables that the SDKs read, with the root key of an account.

        Raises:
            EmulatorError: it does not run.
            ValueError: the account is not one.
        """
        self.check()
        check_account(account)
        gateway = f"http://{HOST}:{self.ports['gateway']}"
        moto = f"http://{HOST}:{self.ports['moto']}" if self.images.moto else gateway
        return {
            "AWS_ENDPOINT_URL": gateway,
            **{f"AWS_ENDPOINT_URL_{service}": moto for service in OWN_ENDPOINTS},
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def _containers(self) -> list[Part]:
        port = self.ports["gateway"]
        # Inside it is the same port, since the URLs of queues name it.
        gateway = container_of(self.images.aws, port).with_env("GATEWAY_LISTEN", f"0.0.0.0:{port}")
        gateway.with_env("LOCALSTACK_HOST", f"{HOST}:{port}").with_env("DISABLE_EVENTS", "1")
        if (path := daemon_socket()) and Path(path).exists():
            gateway.with_volume_mapping(path, SOCKET, "rw")
        if token := os.environ.get("LOCALSTACK_AUTH_TOKEN"):
            gateway.with_env("LOCALSTACK_AUTH_TOKEN", token)
        parts = [(gateway, answers(port, "/_localstack/health"))]
        if self.images.moto:
            port = self.ports["moto"]
            moto = container_of(self.images.moto, port).with_command(f"-H 0.0.0.0 -p {port}")
            parts.append((moto, answers(port, "/moto-api/data.json")))
        return parts
