"""Runs the functions of an app as the Functions host does, but in this process and when it is told to.

The app's decorators say what there is; azure.functions' own converters make the arguments. docs/emulators/functions.md
has what is covered.
"""

from __future__ import annotations

import asyncio
import hmac
import inspect
import json
import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from azure import functions
from azure.functions import meta

from ringfence.emulators.functions.outputs import Output, write
from ringfence.emulators.functions.routes import match
from ringfence.emulators.functions.triggers import pump_blobs, pump_queue, pump_service_bus

__all__ = ["FunctionsHost", "Run"]

DEFAULT_METHODS = ("GET", "POST")
"""What a route without methods takes."""


@dataclass(frozen=True)
class Run:
    """One run of a function."""

    function: str
    value: Any = None
    error: Exception | None = None


class FunctionsHost:
    """The functions of one app.

    Within `with`, `os.environ` has the app settings. Functions may be run from several threads at once.
    """

    def __init__(
        self,
        app: Any,
        settings: Mapping[str, str] | None = None,
        *,
        folder: Path | None = None,
        keys: Mapping[str, str] | None = None,
    ) -> None:
        """Read the app's functions.

        Args:
            app: the app's `FunctionApp`. An app can be read once, so there is one host for each.
            settings: the app settings. Connections are looked up here too.
            folder: where host.json is, for its limits; the service's own defaults without.
            keys: function's name to the key that its callers need, for functions that ask for one. A function without
                a key here takes calls without.
        """
        self.settings = dict(settings or {})
        self._keys = dict(keys or {})
        self._functions = {item.get_function_name(): item for item in app.get_functions()}
        document = folder / "host.json" if folder else None
        self._host = json.loads(document.read_text(encoding="utf-8")) if document and document.exists() else {}
        self.handled_blobs: set[tuple[str, str, str, str]] = set()
        self._before: dict[str, str | None] = {}

    @property
    def names(self) -> list[str]:
        """The names of all functions."""
        return list(self._functions)

    def extension(self, *path: str) -> Any:
        """Return a setting of host.json's `extensions`, or None."""
        found: Any = self._host.get("extensions", {})
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        return found

    def request(
        self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> functions.HttpResponse:
        """Send an HTTP request, and return the response. `url` is a path, with its query.

        A function that raises gives 500 without a body, as the host does; `run` shows what it raised.
        """
        parts, headers = urlsplit(url), dict(headers or {})
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        # The host has no route for a method that a function does not take, and says so.
        found = [item for item in self._routed(parts.path) if method.upper() in _methods(item[1])]
        if not found:
            return functions.HttpResponse(status_code=404)
        name, trigger, parameters = found[0]
        if not self._has_key(name, trigger, query, headers):
            return functions.HttpResponse(status_code=401)
        request = functions.HttpRequest(
            method=method.upper(),
            url=f"http://localhost{url}",
            headers=headers,
            params={key: value for key, value in query.items() if key != "code"},
            route_params=parameters,
            body=body,
        )
        result = self.run(name, request)
        if result.error is not None:
            return functions.HttpResponse(status_code=500)
        return _response(result.value)

    def fire_timer(self, name: str, *, past_due: bool = False) -> Run:
        """Let a timer's function run now."""
        self._triggered(name, "timerTrigger")
        return self.run(name, self.decode(name, json.dumps({"IsPastDue": past_due}), "json", {}))

    def pump_queue(self, name: str) -> list[Run]:
        """Poll the queue of a function with a queue trigger once; see `triggers.pump_queue`."""
        return pump_queue(self, name, self._triggered(name, "queueTrigger"))

    def pump_blobs(self, name: str) -> list[Run]:
        """Run a function with a blob trigger for each new or changed blob; see `triggers.pump_blobs`."""
        return pump_blobs(self, name, self._triggered(name, "blobTrigger"))

    def pump_service_bus(self, name: str, *, wait: float = 1.0) -> list[Run]:
        """Receive once for a function with a Service Bus trigger; see `triggers.pump_service_bus`."""
        return pump_service_bus(self, name, self._triggered(name, "serviceBusTrigger"), wait)

    def run(self, name: str, value: Any, names: Mapping[str, str] | None = None) -> Run:
        """Run a function with what its trigger gives, and write its outputs if it succeeds.

        Args:
            name: the function.
            value: the trigger's argument.
            names: what stands for `{name}` in the paths of outputs.
        """
        function = self._functions[name]
        trigger = function.get_trigger()
        outputs: dict[str, tuple[Any, Output]] = {}
        arguments = {trigger.name: value}
        for binding in function.get_bindings():
            if binding is trigger or binding.name == "$return":
                continue
            if int(binding.direction) != 1:
                message = f"{name}: the input binding {binding.type!r} is not covered"
                return Run(name, error=NotImplementedError(message))
            outputs[binding.name] = (binding, Output())
            arguments[binding.name] = outputs[binding.name][1]
        user = function.get_user_function()
        if "context" in inspect.signature(user).parameters:
            arguments["context"] = SimpleNamespace(
                invocation_id=str(uuid.uuid4()), function_name=name, function_directory="."
            )
        try:
            result = user(**arguments)
            if inspect.isawaitable(result):
                result = asyncio.run(_awaited(result))
            for binding, output in outputs.values():
                if output.given:
                    write(self, binding, output.get(), names or {})
        except Exception as error:
            # The host catches all that a function raises.
            return Run(name, error=error)
        return Run(name, result)

    def decode(self, name: str, data: Any, kind: str, metadata: Mapping[str, Any]) -> Any:
        """Return a trigger's argument as azure.functions' own converter makes it."""
        trigger = self._functions[name].get_trigger()
        converter = meta.get_binding_registry().get(trigger.type)  # type: ignore[no-untyped-call,unused-ignore]
        found = {key: _datum(value) for key, value in metadata.items()}
        return converter.decode(meta.Datum(data, kind), trigger_metadata=found)

    def connection(self, prefix: str) -> str:
        """Return the connection string that a binding's connection names.

        Raises:
            KeyError: the app settings have none. Connections by identity (`NAME__...`) are not covered.
        """
        for key in (prefix, f"AzureWebJobs{prefix}"):
            if key in self.settings:
                return self.settings[key]
        raise KeyError(f"the app settings have no connection string {prefix!r}; they have {', '.join(self.settings)}")

    def resolve(self, text: str) -> str:
        """Return text with each `%SETTING%` replaced by the app setting."""
        return re.sub(r"%(\w+)%", lambda found: self.settings[found[1]], text)

    def __enter__(self) -> Self:
        """Put the app settings into `os.environ`, where the app reads them."""
        self._before = {key: os.environ.get(key) for key in self.settings}
        os.environ.update(self.settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put `os.environ` back as it was."""
        for key, value in self._before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value

    def _triggered(self, name: str, kind: str) -> Any:
        trigger = self._functions[name].get_trigger()
        if trigger.type != kind:
            raise ValueError(f"{name} has a {trigger.type}, not a {kind}")
        return trigger

    def _routed(self, path: str) -> list[tuple[str, Any, dict[str, str]]]:
        """Return the functions that a path may be for. Routes with fewer parameters go first, as in ASP.NET Core."""
        prefix = self.extension("http", "routePrefix")
        prefix = "api" if prefix is None else prefix
        found = []
        for name, function in self._functions.items():
            trigger = function.get_trigger()
            if trigger.type == "httpTrigger":
                route = "/".join(filter(None, [prefix, trigger.route if trigger.route is not None else name]))
                if (parameters := match(route, path)) is not None:
                    found.append((name, trigger, parameters))
        return sorted(found, key=lambda item: len(item[2]))

    def _has_key(self, name: str, trigger: Any, query: Mapping[str, str], headers: Mapping[str, str]) -> bool:
        level = getattr(trigger.auth_level, "value", trigger.auth_level)
        if str(level).lower() == "anonymous" or name not in self._keys:
            return True
        given = {key.lower(): value for key, value in headers.items()}.get("x-functions-key") or query.get("code") or ""
        return hmac.compare_digest(given.encode(), self._keys[name].encode())


async def _awaited(value: Any) -> Any:
    return await value


def _methods(trigger: Any) -> list[str]:
    return [str(getattr(method, "value", method)).upper() for method in trigger.methods or DEFAULT_METHODS]


def _response(value: Any) -> functions.HttpResponse:
    if isinstance(value, functions.HttpResponse):
        return value
    if value is None:
        return functions.HttpResponse(status_code=204)
    return functions.HttpResponse(value if isinstance(value, str | bytes) else json.dumps(value))


def _datum(value: Any) -> Any:
    if isinstance(value, dict | list):
        return meta.Datum(json.dumps(value), "json")
    return meta.Datum(value, "int" if isinstance(value, int) else "string")
