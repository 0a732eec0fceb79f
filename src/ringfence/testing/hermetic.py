"""What a test run keeps from a program: the cloud credentials of whoever runs the tests, and the network."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["NetworkBlockedError", "hermetic"]

_CREDENTIALS = re.compile(
    r"AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|SECURITY_TOKEN|PROFILE|DEFAULT_PROFILE|ROLE_\w+"
    r"|WEB_IDENTITY_TOKEN_FILE|CONTAINER_\w+|BEARER_TOKEN\w*|SSO_\w+)"
    r"|ARM_\w+|AZURE_\w+|MSI_\w+|IDENTITY_(ENDPOINT|HEADER)"
    r"|GOOGLE_\w+|GCLOUD_\w+|CLOUDSDK_\w+|PULUMI_(ACCESS_TOKEN|BACKEND_URL)|GITHUB_TOKEN|ACTIONS_ID_TOKEN_\w+"
)
_NO_FILES = {
    # Where the SDKs would look for credentials beside the environment: they find an empty file, or no folder.
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AZURE_CONFIG_DIR": os.path.join(os.devnull, "azure"),  # noqa: PTH118 — a place, not a path to open
    "CLOUDSDK_CONFIG": os.path.join(os.devnull, "gcloud"),  # noqa: PTH118
    "KUBECONFIG": os.devnull,
}
_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", ""})


class NetworkBlockedError(OSError):
    """The program asked for a host that is not this machine."""


@contextmanager
def hermetic() -> Iterator[None]:
    """Within it this process has no cloud credentials in its environment and reaches no host but itself.

    A connection elsewhere, and the look-up of another host's name, raises `NetworkBlockedError`. What child processes
    connect to is not watched; they inherit the environment. Not for two threads at a time.
    """
    environment = dict(os.environ)
    for name in environment:
        if _CREDENTIALS.fullmatch(name):
            del os.environ[name]
    os.environ.update(_NO_FILES)
    socket_type = socket.socket
    own = {name: vars(socket_type).get(name) for name in ("connect", "connect_ex", "sendto")}
    functions = {name: getattr(socket, name) for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex")}
    for name in own:
        setattr(socket_type, name, _guarded_method(getattr(socket_type, name)))
    for name, function in functions.items():
        setattr(socket, name, _guarded_function(function))
    try:
        yield
    finally:
        for name, method in own.items():
            if method is None:
                delattr(socket_type, name)  # the base class has the original
            else:
                setattr(socket_type, name, method)
        for name, function in functions.items():
            setattr(socket, name, function)
        os.environ.clear()
        os.environ.update(environment)


def _guarded_method(method: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, *args: Any) -> Any:
        # `sendto` has the address last, behind flags that may be left out; the others have nothing else.
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _require_local(args[-1][0])
        return method(self, *args)

    return guarded


def _guarded_function(function: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(host: Any, *args: Any, **kwargs: Any) -> Any:
        _require_local(host)
        return function(host, *args, **kwargs)

    return guarded


def _require_local(host: Any) -> None:
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if text is None or text in _LOCAL_NAMES:
        return
    try:
        local = ipaddress.ip_address(str(text).partition("%")[0])
    except ValueError:
        pass
    else:
        if local.is_loopback or local.is_unspecified:
            return
    raise NetworkBlockedError(f"{text}: a program under test reaches no network; only this machine's loopback is open")
