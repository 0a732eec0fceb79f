"""Whether there is a Docker daemon."""

from __future__ import annotations

import os
import socket
from contextlib import closing

__all__ = ["PROBE_SECONDS", "daemon_socket", "docker_available"]

PROBE_SECONDS = 2
"""How long the daemon may take to answer; one on this machine takes milliseconds."""

DEFAULT_HOST = "unix:///var/run/docker.sock"
PROBE_VERSION = "1.44"
"""Of the Docker API. It matters little, since any answer will do."""


def daemon_socket() -> str:
    """Return the path of the daemon's socket on this machine; empty where DOCKER_HOST is another kind of address."""
    host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    return host.removeprefix("unix://") if host.startswith("unix://") else ""


def docker_available() -> bool:
    """Return whether a Docker daemon answers, at DOCKER_HOST or where it is by default."""
    try:
        import docker
        from docker.errors import (
            APIError,
            DockerException,
        )
    except ImportError:
        return False
    if (path := daemon_socket()) and not _listens(path):
        return False
    try:
        # With a version it asks for nothing yet.
        client = docker.from_env(version=PROBE_VERSION, timeout=PROBE_SECONDS)
    except (DockerException, ValueError):
        return False
    try:
        return bool(client.ping())
    except APIError:
        return True  # it answers that it speaks another version
    except (DockerException, OSError):
        return False
    finally:
        client.close()


def _listens(path: str) -> bool:
    # Asked beforehand, since docker-py leaves a socket open when nobody listens.
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as one:
        one.settimeout(PROBE_SECONDS)
        try:
            one.connect(path)
        except OSError:
            return False
        return True
