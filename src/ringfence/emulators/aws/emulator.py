"""The AWS emulator as a process: MiniStack and moto behind one endpoint, with signatures and policies checked.

docs/emulators/aws.md has what it covers.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import re
import socket
import sys
from pathlib import Path

from ringfence.emulators.cache import digest, installed, run_installer
from ringfence.emulators.child import HOST, Child
from ringfence.emulators.interface import Backend, EmulatorError, StartedByWith

__all__ = ["DEFAULT_ACCOUNT", "REGION", "Aws", "check_account"]

DEFAULT_ACCOUNT = "000000000000"
REGION = "us-east-1"
SECRET_KEY = "test"
"""The secret of every account's root key. The emulator is reached from this machine alone and holds nothing."""

ACCOUNT = re.compile(r"\d{12}")
HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"
OWN_ENDPOINTS = ("SAGEMAKER", "SAGEMAKER_RUNTIME", "APPLICATION_AUTO_SCALING", "XRAY")
"""Services that moto answers for."""

ANSWER_SECONDS = 30


class Aws(StartedByWith):
    """AWS on loopback, in memory. Every account exists: its root access key is the account's number."""

    service = "aws"
    backend: Backend = "process"

    def __init__(self, *, port: int = 0, function_python: str | None = None) -> None:
        """Take the settings.

        Args:
            port: where to listen; 0 is any free port.
            function_python: the interpreter that Lambda functions run with, which must have awslambdaric and what the
                functions import; this one unless given.
        """
        self._wanted_port = port
        self._function_python = function_python or sys.executable
        self.port = port
        self._child: Child | None = None

    def start(self) -> None:
        """Install the server if the cache has none, start it, and return once it answers.

        Raises:
            EmulatorError: it cannot be installed or started, or the port is taken.
        """
        if self._child is not None:
            raise EmulatorError("the AWS emulator runs already: stop it first")
        if self._function_python == sys.executable and importlib.util.find_spec("awslambdaric") is None:
            raise EmulatorError("Lambda functions need awslambdaric, which ringfence[emulators] brings: install it")
        python = _install() / "bin" / "python"
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        with listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HOST, self._wanted_port))
            except OSError as error:
                message = (
                    f"the AWS emulator cannot listen on {HOST}:{self._wanted_port}: {error.strerror}; free the port"
                )
                raise EmulatorError(message) from error
            self.port = listener.getsockname()[1]
            # The socket is handed over, so that nobody else can take the port in between.
            command: list[str | Path] = [python, "-m", "gateway", str(self.port), str(listener.fileno())]
            environment = {
                "PYTHONPATH": str(HERE),
                "PYTHONUNBUFFERED": "1",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                "AWS_EC2_METADATA_DISABLED": "true",
                "MINISTACK_ACCOUNT_ID": DEFAULT_ACCOUNT,
                "MINISTACK_REGION": REGION,
            }
            child = Child(
                "the AWS emulator",
                [*command, self._function_python],
                environment,
                pass_fds=[listener.fileno()],
            )
        child.wait_until(self._answers)
        self._child = child

    def environment(self, account: str = DEFAULT_ACCOUNT) -> dict[str, str]:
        """Return the variables that the SDKs read, with the root key of an account.

        Args:
            account: 12 digits. Accounts share nothing; tests that share an emulator take one each.

        Raises:
            EmulatorError: it does not run.
            ValueError: the account is not one.
        """
        self._running()
        check_account(account)
        own = {f"AWS_ENDPOINT_URL_{service}": self.endpoint for service in OWN_ENDPOINTS}
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            **own,
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def endpoint(self) -> str:
        """The URL of all services."""
        return f"http://{HOST}:{self.port}"

    def set_model(self, endpoint_name: str, url: str, account: str = DEFAULT_ACCOUNT) -> None:
        """Let a SageMaker endpoint hand what it is asked on to `URL/invocations`, as it does to a model's container.

        Raises:
            EmulatorError: it does not run, or refuses.
        """
        self._request("PUT", f"/_ringfence/models/{account}/{endpoint_name}", {"url": url})

    def losses(self, account: str = DEFAULT_ACCOUNT) -> list[dict[str, str]]:
        """Return what Lambda could not do as the role of an account's functions: logs, traces and dead letters.

        Each has `function` (its ARN), `operation` and `code` (the error's). Nobody hears of these in the cloud either.

        Raises:
            EmulatorError: it does not run, or does not answer.
        """
        found = json.loads(self._request("GET", "/_ringfence/losses", {}))
        return [loss for loss in found if loss["function"].split(":")[4] == account]

    def check(self) -> None:
        """Do nothing while it runs.

        Raises:
            EmulatorError: it does not run; the message says how it ended.
        """
        self._running()

    def reset(self) -> None:
        """Forget everything in all accounts, and end all functions.

        Raises:
            EmulatorError: it does not run, or refuses.
        """
        self._request("POST", "/_ministack/reset", {})

    def stop(self) -> None:
        """Stop, and leave nothing behind. Stopping twice is fine."""
        child, self._child = self._child, None
        if child is not None:
            child.stop()

    def _answers(self) -> bool:
        try:
            return self._send("GET", "/_ministack/health", b"")[0] == 200
        except OSError:
            return False

    def _request(self, method: str, path: str, document: dict[str, str]) -> bytes:
        self._running()
        try:
            status, answer = self._send(method, path, json.dumps(document).encode())
        except OSError as error:
            self._running()
            raise EmulatorError(f"the AWS emulator does not answer: {error}") from error
        if status >= 300:
            raise EmulatorError(f"the AWS emulator answered {method} {path} with {status}")
        return answer

    def _send(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=ANSWER_SECONDS)
        try:
            connection.request(method, path, body)
            with connection.getresponse() as response:
                return response.status, response.read()
        finally:
            connection.close()

    def _running(self) -> Child:
        if self._child is None:
            raise EmulatorError("the AWS emulator does not run: start it first")
        self._child.check()
        return self._child


def check_account(account: str) -> None:
    """Raise `ValueError` unless this is the number of an AWS account."""
    if not ACCOUNT.fullmatch(account):
        raise ValueError(f"{account!r} is not an AWS account: 12 digits")


def _install() -> Path:
    """Return the virtual environment in which the server runs, by its locked requirements."""
    requirements = REQUIREMENTS.read_bytes()

    def install(folder: Path) -> None:
        # The user's environment, since it may name a proxy or a mirror.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        run_installer("the AWS emulator", [sys.executable, "-m", "venv", folder], folder, environment)
        # Wheels only: nothing is run while it is installed.
        pip: list[str | Path] = [
            folder / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--require-hashes",
            "--only-binary",
            ":all:",
        ]
        run_installer("the AWS emulator", [*pip, "--requirement", REQUIREMENTS], folder, environment)

    version = f"{sys.implementation.cache_tag} {sys.base_prefix}"
    return installed(f"aws-{digest(requirements, version.encode())}", install)
