"""What the reference stacks on Azure share: identities' roles, logs and alerts, storage, functions, private network."""

from .access import BuiltInRole, grant
from .blobs import container_url, keyless_account
from .functions import FlexFunctions, FlexScale
from .observability import Observability
from .private_network import PrivateLink, PrivateNetwork
from .settings import AzureSettings, Location

__all__ = [
    "AzureSettings",
    "BuiltInRole",
    "FlexFunctions",
    "FlexScale",
    "Location",
    "Observability",
    "PrivateLink",
    "PrivateNetwork",
    "container_url",
    "grant",
    "keyless_account",
]
