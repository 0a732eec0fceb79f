"""The official emulators in containers, by testcontainers.

Names of images are settings, since many organisations reach the public registries through a mirror of their own.
docs/emulators/ has what of this was run, and with which images.
"""

from ringfence.emulators.docker.aws import DockerAws
from ringfence.emulators.docker.cosmos import DockerCosmos
from ringfence.emulators.docker.daemon import docker_available
from ringfence.emulators.docker.images import Images
from ringfence.emulators.docker.service_bus import DockerServiceBus
from ringfence.emulators.docker.storage import DockerAzurite

__all__ = ["DockerAws", "DockerAzurite", "DockerCosmos", "DockerServiceBus", "Images", "docker_available"]
