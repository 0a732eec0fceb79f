"""Service Bus namespaces on Microsoft's own emulator, which reads its entities from a file when it starts.

Sources: Config-schema.json of github.com/Azure/azure-service-bus-emulator-installer (names, defaults and limits), and
Microsoft Learn, "Overview of the Azure Service Bus emulator" (quotas).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from ringfence.emulators.interface import EmulatorError
from ringfence.providers.emulated.accounts import (
    AccountEmulator,
    OnEmulators,
    name_of,
    named,
    owners,
    suffixed,
    token_of,
)
from ringfence.providers.emulated.interface import Gap, Made, gaps, plain
from ringfence.providers.emulated.service_bus import (
    DEFAULT_NAMESPACE,
    NAMESPACE,
    OWNERS,
    ROOT_RULE,
    TYPES,
    parse_duration,
)
from ringfence.providers.interface import Created, Registration

__all__ = ["OfficialServiceBusService", "entities"]

MOST_ENTITIES = 50
"""Queues and topics together."""

ENTITY: Mapping[str, Any] = {
    "defaultMessageTimeToLive": "PT1H",
    "duplicateDetectionHistoryTimeWindow": "PT5M",
    "requiresDuplicateDetection": False,
}
RECEIVED: Mapping[str, Any] = {
    "deadLetteringOnMessageExpiration": False,
    "forwardDeadLetteredMessagesTo": "",
    "forwardTo": "",
    "lockDuration": "PT1M",
    "maxDeliveryCount": 10,
    "requiresSession": False,
}
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "servicebus:Queue": {**ENTITY, **RECEIVED},
    "servicebus:Topic": ENTITY,
    "servicebus:Subscription": {"defaultMessageTimeToLive": "PT1H", **RECEIVED},
}
"""Settings that each kind of entity has, with the value where nothing is declared: the service's own (Azure Resource
Manager), or as near to it as the emulator goes."""

MINUTE = timedelta(minutes=1)
LIMITS = {
    "defaultMessageTimeToLive": (5 * MINUTE, 60 * MINUTE),
    "duplicateDetectionHistoryTimeWindow": (timedelta(seconds=5), 5 * MINUTE),
    "lockDuration": (timedelta(seconds=5), 5 * MINUTE),
}
SUBSCRIPTION_LOCK = (MINUTE, 5 * MINUTE)
MOST_DELIVERIES = 10
CORRELATION = (
    "contentType",
    "correlationId",
    "label",
    "messageId",
    "replyTo",
    "replyToSessionId",
    "sessionId",
    "to",
)

LIMITED = "the official emulator has a limit there"
TOO_LATE = "it is not as the emulator read it when it started"
NO_SUBSCRIPTION = "the official emulator takes no topic without a subscription"


Known = list[tuple[Registration, Mapping[str, Any]]]
"""Resources with their outputs, as a program will make them."""


class OfficialServiceBusService(OnEmulators[AccountEmulator]):
    """All namespaces of a program, one emulator each.

    `make` gives an emulator, not started, with entities as its configuration file has them: `Queues` and `Topics`.
    """

    name = "service-bus"
    title = "the Service Bus emulator"

    def __init__(self, make: Callable[[Mapping[str, Any]], AccountEmulator]) -> None:
        super().__init__()
        self._make = make
        self._wanted: dict[str, dict[str, Any]] = {}

    def serves(self, token: str) -> bool:
        """Whether resources of this type are made on the emulator."""
        return token_of(token) in TYPES

    def needs(self, registrations: Iterable[Registration], outputs: Iterable[Mapping[str, Any]]) -> None:
        """Take the entities of each namespace: an emulator takes no more once it runs.

        Raises:
            EmulatorError: there are too many, or a duration is not one.
        """
        known = [*zip(registrations, outputs, strict=True)]
        names = owners([entry[0] for entry in known], [entry[1] for entry in known], NAMESPACE, "namespaceName")
        self._wanted = {name: entities(name, known) for name in names}

    def start(self) -> None:
        """Start an emulator for each namespace that is wanted, or one for a program's own use."""
        for name in self._wanted or [DEFAULT_NAMESPACE]:
            self._namespace(name)

    def create(self, registration: Registration, offline: Created) -> Made:
        """Find a resource that the emulator was started with.

        Raises:
            EmulatorError: it is not there.
        """
        token, inputs, name = token_of(registration.type), registration.inputs, name_of(offline)
        if token == NAMESPACE:
            return self._made_namespace(inputs, name)
        namespace, topic, subscription = named(inputs, "namespaceName", "topicName", "subscriptionName")
        variables = self._namespace(namespace)
        wanted = self._wanted.get(namespace, {})
        match token:
            case "servicebus:NamespaceAuthorizationRule":
                return Made(gaps=(Gap("", "the official emulator has one key, which may do everything"),))
            case "servicebus:Rule":
                rules = _find(wanted, topic, subscription).get("Rules", [])
                return _compared_rule(inputs, _rule(name, inputs) in rules)
            case "servicebus:Subscription":
                kept = _find(wanted, topic, name)
            case _:
                kept = _find(wanted, name)
        if token == "servicebus:Topic" and not kept:
            return Made(gaps=(Gap("", NO_SUBSCRIPTION),))
        _reach(variables, topic if token == "servicebus:Subscription" else name)
        return Made(gaps=_compared(token, inputs, kept.get("Properties")))

    def delete(self, registration: Registration, existing: Created) -> str:
        """Leave a resource where it is: the emulator has its entities for life."""
        return "the official emulator has its entities for life"

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Answer the key of a namespace: there is one, whatever access policy is asked for."""
        namespace, rule = named(arguments, "namespaceName", "authorizationRuleName")
        if token_of(token) != "servicebus:listNamespaceKeys" or namespace not in self._emulators:
            return None
        text = self._namespace(namespace)["RINGFENCE_SERVICE_BUS_CONNECTION_STRING"]
        key = next(part.partition("=")[2] for part in text.split(";") if part.startswith("SharedAccessKey="))
        connection = text.replace(f"KeyName={ROOT_RULE}", f"KeyName={rule}")
        return {"keyName": rule, "primaryKey": key, "primaryConnectionString": connection}

    def environment(self) -> dict[str, str]:
        """Return the connection string of the first namespace, and of each where there are more."""
        found = {name: emulator.environment() for name, emulator in self._emulators.items()}
        return suffixed(found, "RINGFENCE_SERVICE_BUS_")

    def _namespace(self, name: str) -> dict[str, str]:
        """Return how to reach a namespace, on an emulator that is started if none has it."""
        if name not in self._emulators:
            emulator = self._make(self._wanted.get(name, {}))
            emulator.start()
            self._emulators[name] = emulator
        return self._emulators[name].environment()

    def _made_namespace(self, inputs: Mapping[str, Any], name: str) -> Made:
        endpoint = f"sb://{self._namespace(name)['RINGFENCE_SERVICE_BUS_NAMESPACE']}/"
        no_setting = "the official emulator's namespace has no settings"
        found = gaps(inputs, names=OWNERS, reasons={"location": ""}, otherwise=no_setting)
        return Made({"serviceBusEndpoint": endpoint}, gaps=found)


# --- the configuration file ------------------------------------------------------------------------------------------


def entities(namespace: str, known: Known) -> dict[str, Any]:
    """Return the queues and topics of a namespace as the emulator's configuration file has them.

    Raises:
        EmulatorError: there are too many, or a duration is not one.
    """
    own = [
        (token_of(registration.type), registration.inputs, str(plain(outputs.get("name"))))
        for registration, outputs in known
        if plain(registration.inputs.get("namespaceName")) == namespace
    ]

    def of(token: str, **parents: str) -> list[tuple[str, Mapping[str, Any]]]:
        return [
            (name, inputs)
            for kind, inputs, name in own
            if kind == token and all(plain(inputs.get(key)) == value for key, value in parents.items())
        ]

    queues = [_entity("servicebus:Queue", *item) for item in of("servicebus:Queue")]
    topics = []
    for topic, inputs in of("servicebus:Topic"):
        subscriptions = []
        for name, settings in of("servicebus:Subscription", topicName=topic):
            rules = [_rule(*item) for item in of("servicebus:Rule", topicName=topic, subscriptionName=name)]
            entry = _entity("servicebus:Subscription", name, settings)
            subscriptions.append({**entry, **({"Rules": rules} if rules else {})})
        if subscriptions:
            topics.append({**_entity("servicebus:Topic", topic, inputs), "Subscriptions": subscriptions})
    if (number := len(queues) + len(topics)) > MOST_ENTITIES:
        raise EmulatorError(
            f"{namespace} has {number} queues and topics, and the official emulator takes {MOST_ENTITIES}: "
            "take the back end `process`"
        )
    return {"Queues": queues, "Topics": topics}


def _entity(token: str, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"Name": name, "Properties": _properties(token, inputs)}


def _properties(token: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings, within the emulator's limits: it has other defaults than the service."""
    found = {}
    for key, default in SETTINGS[token].items():
        declared = plain(inputs.get(key))
        value = default if declared is None else declared
        if key in LIMITS:
            subscribed = token == "servicebus:Subscription" and key == "lockDuration"
            least, most = SUBSCRIPTION_LOCK if subscribed else LIMITS[key]
            value = _text(min(max(parse_duration(key, value), least), most))
        elif key == "maxDeliveryCount":
            value = min(int(value), MOST_DELIVERIES)
        found[_pascal(key)] = value
    return found


def _rule(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    declared = plain(inputs)
    properties: dict[str, Any]
    if conditions := declared.get("correlationFilter"):
        wanted = {_pascal(key): conditions[key] for key in CORRELATION if key in conditions}
        if own := conditions.get("properties"):
            wanted["Properties"] = own
        properties = {"FilterType": "Correlation", "CorrelationFilter": wanted}
    else:
        expression = declared.get("sqlFilter", {}).get("sqlExpression", "1=1")
        properties = {"FilterType": "Sql", "SqlFilter": {"SqlExpression": expression}}
    if action := declared.get("action", {}).get("sqlExpression"):
        properties["Action"] = {"SqlExpression": action}
    # Names begin with a letter or a digit there.
    return {"Name": name.lstrip("$"), "Properties": properties}


def _text(duration: timedelta) -> str:
    """Return a duration as the emulator takes it: in whole seconds."""
    seconds = int(duration.total_seconds())
    return f"PT{seconds // 60}M" if seconds % 60 == 0 else f"PT{seconds}S"


def _pascal(name: str) -> str:
    return name[:1].upper() + name[1:]


# --- what is there ---------------------------------------------------------------------------------------------------


def _find(wanted: Mapping[str, Any], name: str, subscription: str = "") -> Mapping[str, Any]:
    """Return an entity of the configuration file, empty if there is none."""
    listed = [*wanted.get("Queues", []), *wanted.get("Topics", [])]
    found: Mapping[str, Any] = next((entry for entry in listed if entry["Name"] == name), {})
    if not subscription:
        return found
    return next((entry for entry in found.get("Subscriptions", []) if entry["Name"] == subscription), {})


def _reach(variables: Mapping[str, str], name: str) -> None:
    """Open a link to a queue or topic, and close it.

    Raises:
        EmulatorError: it is not there.
    """
    from azure.servicebus import ServiceBusClient
    from azure.servicebus.exceptions import ServiceBusError

    text = variables["RINGFENCE_SERVICE_BUS_CONNECTION_STRING"]
    try:
        with (
            ServiceBusClient.from_connection_string(text, retry_total=1) as client,
            client.get_queue_sender(name) as sender,
        ):
            sender.create_message_batch()
    except ServiceBusError as error:
        raise EmulatorError(f"{name} is not on the emulator: {error}") from error


def _compared(token: str, inputs: Mapping[str, Any], kept: Mapping[str, Any] | None) -> tuple[Gap, ...]:
    """Compare what is declared with what the emulator has read."""
    names = (*OWNERS, "queueName", "topicName", "subscriptionName")
    if kept is None or kept != _properties(token, inputs):
        return (Gap("", TOO_LATE), *gaps(inputs, names=names, reasons=dict.fromkeys(SETTINGS[token], "")))
    limited, reasons = [], {}
    for key in SETTINGS[token]:
        declared, value = plain(inputs.get(key)), kept[_pascal(key)]
        reasons[key] = ""
        if declared is None or declared == value:
            continue
        if key in LIMITS and parse_duration(key, declared) == parse_duration(key, value):
            continue
        limited.append(Gap(key, LIMITED, str(declared), str(value)))
    return (
        *limited,
        *gaps(inputs, names=names, reasons=reasons, otherwise="the official emulator has no such setting"),
    )


def _compared_rule(inputs: Mapping[str, Any], known: bool) -> Made:
    names = (*OWNERS, "topicName", "subscriptionName", "ruleName")
    reasons = dict.fromkeys(("action", "correlationFilter", "filterType", "sqlFilter"), "")
    return Made(gaps=(*(() if known else (Gap("", TOO_LATE),)), *gaps(inputs, names=names, reasons=reasons)))
