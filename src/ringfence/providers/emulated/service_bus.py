"""Service Bus namespaces on the fake: queues, topics, subscriptions, rules and the namespace's access policies."""

from __future__ import annotations

import dataclasses
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from ringfence.emulators.interface import Backend, EmulatorError
from ringfence.emulators.service_bus import (
    AuthorizationRule,
    Broker,
    CorrelationFilter,
    FalseFilter,
    QueueSettings,
    Rule,
    ServiceBusFake,
    SettingsError,
    SqlFilter,
    SubscriptionSettings,
    TopicSettings,
    TrueFilter,
)
from ringfence.providers.emulated.accounts import name_of, named, owners, suffixed, token_of
from ringfence.providers.emulated.interface import Gap, Made, gaps, plain
from ringfence.providers.interface import Created, Registration

__all__ = ["ServiceBusService", "parse_duration"]

NAMESPACE = "servicebus:Namespace"
NAMESPACE_RULE = "servicebus:NamespaceAuthorizationRule"
TYPES = {
    NAMESPACE,
    NAMESPACE_RULE,
    "servicebus:Queue",
    "servicebus:Rule",
    "servicebus:Subscription",
    "servicebus:Topic",
}
DEFAULT_NAMESPACE = "ringfence"
ROOT_RULE = "RootManageSharedAccessKey"
OWNERS = ("resourceGroupName", "namespaceName")

KEPT = {
    "autoDeleteOnIdle": None,
    "enableBatchedOperations": True,
    "enableExpress": False,
    "enablePartitioning": False,
    "supportOrdering": False,
    "userMetadata": None,
}
"""Settings that the fake keeps and does not act on, with the value that asks for nothing special."""

PREMIUM_KILOBYTES = 1024
"""The size of a message in a Premium namespace where nothing is said. Source: Service Bus quotas."""

DURATION = re.compile(
    r"P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)

Settings = TypeVar("Settings", QueueSettings, TopicSettings, SubscriptionSettings)


class ServiceBusService:
    """All namespaces of a program, one fake each. `make` gives a fake, not started."""

    name = "service-bus"
    title = "the Service Bus fake"

    def __init__(self, make: Callable[[], ServiceBusFake] = ServiceBusFake) -> None:
        self._make = make
        self._wanted: list[str] = []
        self._premium: set[str] = set()
        self._fakes: dict[str, ServiceBusFake] = {}

    def serves(self, token: str) -> bool:
        """Whether resources of this type are made on the fake."""
        return token_of(token) in TYPES

    def needs(self, registrations: Iterable[Registration], outputs: Iterable[Mapping[str, Any]]) -> None:
        """Take the names of the namespaces."""
        self._wanted = owners(registrations, outputs, NAMESPACE, "namespaceName")

    def start(self) -> None:
        """Start a fake for each namespace that is wanted, or one for a program's own use."""
        for name in self._wanted or [DEFAULT_NAMESPACE]:
            self.fake(name)

    def fake(self, namespace: str) -> ServiceBusFake:
        """Return the fake of a namespace, which is started if it does not run yet.

        Raises:
            EmulatorError: it cannot be started.
        """
        if namespace not in self._fakes:
            fake = self._make()
            fake.start()
            self._fakes[namespace] = fake
        return self._fakes[namespace]

    def create(self, registration: Registration, offline: Created) -> Made:
        """Make a resource.

        Raises:
            EmulatorError: it cannot be made.
        """
        token, inputs, name = token_of(registration.type), registration.inputs, name_of(offline)
        try:
            if token == NAMESPACE:
                return self._namespace(inputs, name)
            (namespace,) = named(inputs, "namespaceName")
            broker = self.fake(namespace).broker
            match token:
                case "servicebus:NamespaceAuthorizationRule":
                    return _authorization_rule(broker, inputs, name)
                case "servicebus:Queue":
                    return self._queue(broker, inputs, name, namespace)
                case "servicebus:Topic":
                    return self._topic(broker, inputs, name, namespace)
                case "servicebus:Subscription":
                    return _subscription(broker, inputs, name)
                case _:
                    return _rule(broker, inputs, name)
        except SettingsError as error:
            raise EmulatorError(str(error)) from error

    def delete(self, registration: Registration, existing: Created) -> str:
        """Delete a resource. A namespace is emptied: its fake runs on at the same address.

        Raises:
            EmulatorError: the fake does not run.
        """
        token, inputs, name = token_of(registration.type), registration.inputs, name_of(existing)
        namespace, topic, subscription = named(inputs, "namespaceName", "topicName", "subscriptionName")
        fake = self._fakes.get(name if token == NAMESPACE else namespace)
        if fake is None:
            return ""
        try:
            match token:
                case "servicebus:Namespace":
                    fake.broker.reset()
                case "servicebus:NamespaceAuthorizationRule":
                    fake.broker.authorization_rules.pop(name, None)
                case "servicebus:Rule":
                    fake.broker.delete_rule(topic, subscription, name)
                case "servicebus:Subscription":
                    fake.broker.delete(f"{topic}/Subscriptions/{name}")
                case _:
                    fake.broker.delete(name)
        except SettingsError:
            return ""  # it is not there
        return ""

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Answer the key of a namespace's access policy."""
        namespace, rule = named(arguments, "namespaceName", "authorizationRuleName")
        fake = self._fakes.get(namespace)
        if token_of(token) != "servicebus:listNamespaceKeys" or fake is None:
            return None
        known = fake.broker.authorization_rules.get(rule)
        if known is None:
            return None
        text = fake.environment()["RINGFENCE_SERVICE_BUS_CONNECTION_STRING"]
        own = fake.broker.authorization_rules[ROOT_RULE]
        connection = text.replace(own.key, known.key).replace(f"KeyName={own.name}", f"KeyName={rule}")
        return {"keyName": rule, "primaryKey": known.key, "primaryConnectionString": connection}

    def environment(self) -> dict[str, str]:
        """Return the connection string of the first namespace, and of each where there are more."""
        found = {name: fake.environment() for name, fake in self._fakes.items()}
        return suffixed(found, "RINGFENCE_SERVICE_BUS_")

    def backends(self) -> set[Backend]:
        """Return what the fakes run in."""
        return {fake.backend for fake in self._fakes.values()}

    def check(self) -> None:
        """Raise `EmulatorError` if a fake has failed."""
        for fake in self._fakes.values():
            for fault in fake.faults:
                raise EmulatorError(f"the Service Bus fake has failed: {fault!r}") from fault

    def stop(self) -> None:
        """Stop."""
        fakes, self._fakes = list(self._fakes.values()), {}
        for fake in fakes:
            fake.stop()

    # --- resources -----------------------------------------------------------------------------------------------

    def _namespace(self, inputs: Mapping[str, Any], name: str) -> Made:
        if (plain(inputs.get("sku")) or {}).get("name") == "Premium":
            self._premium.add(name)
        fake = self.fake(name)
        reasons = {"tags": "the fake has no such setting", "location": "", "sku": "the fake is the same for all tiers"}
        if inputs.get("disableLocalAuth") is True:
            reasons["disableLocalAuth"] = "the fake takes the key, which the connection string in the environment has"
        endpoint = f"sb://{fake.environment()['RINGFENCE_SERVICE_BUS_NAMESPACE']}/"
        return Made({"serviceBusEndpoint": endpoint}, gaps=gaps(inputs, names=OWNERS, reasons=reasons))

    def _queue(self, broker: Broker, inputs: Mapping[str, Any], name: str, namespace: str) -> Made:
        settings, forwards = _settings(QueueSettings, inputs, name=name, **self._defaults(inputs, namespace))
        broker.create_queue(settings)
        (kept,) = [queue for queue in broker.queues if queue.name == name]
        return Made(gaps=(*forwards, *_compared(inputs, kept, "queueName")))

    def _topic(self, broker: Broker, inputs: Mapping[str, Any], name: str, namespace: str) -> Made:
        settings, forwards = _settings(TopicSettings, inputs, name=name, **self._defaults(inputs, namespace))
        broker.create_topic(settings)
        (kept,) = [topic for topic in broker.topics if topic.name == name]
        return Made(gaps=(*forwards, *_compared(inputs, kept, "topicName")))

    def _defaults(self, inputs: Mapping[str, Any], namespace: str) -> dict[str, Any]:
        if namespace in self._premium and inputs.get("maxMessageSizeInKilobytes") is None:
            return {"max_message_size_in_kilobytes": PREMIUM_KILOBYTES}
        return {}


def _subscription(broker: Broker, inputs: Mapping[str, Any], name: str) -> Made:
    (topic,) = named(inputs, "topicName")
    settings, forwards = _settings(SubscriptionSettings, inputs, name=name, topic_name=topic)
    broker.create_subscription(settings)
    (kept,) = [found for found in broker.subscriptions(topic) if found.name == name]
    return Made(gaps=(*forwards, *_compared(inputs, kept, "subscriptionName", "topicName")))


def _rule(broker: Broker, inputs: Mapping[str, Any], name: str) -> Made:
    topic, subscription = named(inputs, "topicName", "subscriptionName")
    wanted = Rule(name, _filter(inputs))
    if any(rule.name == name for rule in broker.rules(topic, subscription)):
        broker.delete_rule(topic, subscription, name)  # `$Default`, which a new subscription has
    broker.create_rule(topic, subscription, wanted)
    names = (*OWNERS, "topicName", "subscriptionName", "ruleName")
    if wanted not in broker.rules(topic, subscription):
        raise EmulatorError("the rule was accepted, and is not there")
    reasons = {
        "filterType": "",
        "sqlFilter.sqlExpression": "",
        "sqlFilter.compatibilityLevel": "",
        "correlationFilter": "",
    }
    return Made(gaps=gaps(inputs, names=names, reasons=reasons, otherwise="the fake has no actions of rules"))


def _filter(inputs: Mapping[str, Any]) -> TrueFilter | FalseFilter | SqlFilter | CorrelationFilter:
    if conditions := plain(inputs.get("correlationFilter")):
        conditions.pop("requiresPreprocessing", None)
        return CorrelationFilter(**{_snake(key): value for key, value in conditions.items()})
    expression = (plain(inputs.get("sqlFilter")) or {}).get("sqlExpression", "")
    return SqlFilter(expression) if expression else TrueFilter()


def _authorization_rule(broker: Broker, inputs: Mapping[str, Any], name: str) -> Made:
    rights = frozenset(plain(inputs.get("rights")) or ())
    broker.authorization_rules[name] = AuthorizationRule(name, secrets.token_urlsafe(32), rights)
    kept = broker.authorization_rules[name].rights
    found = {"rights": [right for right in plain(inputs.get("rights")) or () if right in kept]}
    return Made(gaps=gaps(inputs, names=(*OWNERS, "authorizationRuleName"), found=found))


def _settings(kind: type[Settings], inputs: Mapping[str, Any], **given: Any) -> tuple[Settings, list[Gap]]:
    """Return what is declared as the fake's settings, and what it cannot be set to.

    Raises:
        EmulatorError: a duration is not one.
    """
    forwards: list[Gap] = []
    for field in dataclasses.fields(kind):
        key = _camel(field.name)
        value = plain(inputs.get(key))
        if field.name in given or value is None:
            continue
        if field.name.startswith("forward_"):
            forwards.append(Gap(key, "the fake does not forward messages", str(value)))
            continue
        given[field.name] = parse_duration(key, value) if "timedelta" in str(field.type) else value
    return kind(**given), forwards


def _compared(inputs: Mapping[str, Any], kept: Any, *names: str) -> tuple[Gap, ...]:
    """Compare what is declared with what the fake has."""
    found: dict[str, Any] = {}
    reasons = dict.fromkeys(("forwardTo", "forwardDeadLetteredMessagesTo"), "")  # told already
    for field in dataclasses.fields(kept):
        key = _camel(field.name)
        declared = plain(inputs.get(key))
        if key in reasons or declared is None:
            continue
        value = getattr(kept, field.name)
        if isinstance(value, timedelta) and value == parse_duration(key, declared):
            value = declared  # one duration is written in several ways
        if key in KEPT and value == declared:
            reasons[key] = "" if declared == KEPT[key] else "the fake keeps the setting and does not act on it"
        else:
            found[key] = value
    return gaps(inputs, names=(*OWNERS, *names), found=found, reasons=reasons)


def parse_duration(key: str, text: Any) -> timedelta:
    """Return a duration that is written as Azure Resource Manager does, for example `PT1M` or `P14D`.

    Raises:
        EmulatorError: it is none; `key` is the setting that has it.
    """
    match = DURATION.fullmatch(str(text))
    if match is None or str(text).rstrip("T") == "P":
        raise EmulatorError(f"{key} is {text!r}, expected a duration such as PT1M or P14D")
    return timedelta(**{unit: float(number) for unit, number in match.groupdict().items() if number})


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)
