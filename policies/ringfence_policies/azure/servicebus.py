"""Azure Service Bus: namespaces, queues, topic subscriptions, and keys with rights.

The Basic tier has queues with dead-lettering, so these rules hold for every tier; what it lacks (topics, sessions,
duplicate detection) no rule here asks for.
"""

from __future__ import annotations

from ringfence.policy.checks import between, every, failed, is_not, is_true, one_of, passed, require
from ringfence.policy.graph import ResourceView
from ringfence.policy.rule import Parameter, Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity

__all__ = ["RULES"]

NAMESPACE = "azure-native:servicebus:Namespace"
QUEUE = "azure-native:servicebus:Queue"
SUBSCRIPTION = "azure-native:servicebus:Subscription"
NAMESPACE_KEY = "azure-native:servicebus:NamespaceAuthorizationRule"
QUEUE_KEY = "azure-native:servicebus:QueueAuthorizationRule"
TOPIC_KEY = "azure-native:servicebus:TopicAuthorizationRule"

_DEFAULT_DELIVERIES = 10
"""Source: Service Bus REST reference, Queues and Subscriptions, maxDeliveryCount."""


@rule(
    "SB01",
    "servicebus-no-local-auth",
    "Service Bus namespaces refuse shared access keys",
    types=(NAMESPACE,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="A shared access key belongs to nobody, does not expire and is hard to take back; Entra ID roles are none of "
    "that.",
    reads="disableLocalAuth",
    absent="Fails: the service's default is false.",
    remedy="Set disable_local_auth=True and assign the roles Azure Service Bus Data Sender and Data Receiver.",
    sources=("CKV_AZURE_203", "Azure.ServiceBus.DisableLocalAuth", "AzP cfb11c26"),
    bad=(Sample(NAMESPACE, {"disableLocalAuth": False}),),
    good=(Sample(NAMESPACE, {"disableLocalAuth": True}),),
)
def no_local_auth(namespace: ResourceView, _: Parameters) -> Outcome:
    """Check that shared access keys are off."""
    return require(namespace["disableLocalAuth"], is_true(), absent="Shared access keys then work.")


@rule(
    "SB02",
    "servicebus-minimum-tls",
    "Service Bus namespaces require TLS 1.2",
    types=(NAMESPACE,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="Clients may otherwise negotiate TLS 1.0 or 1.1, which have known weaknesses and which auditors refuse.",
    reads="minimumTlsVersion",
    absent="Fails: new namespaces get 1.2, but a namespace that exists keeps what it has, so it has to be said.",
    remedy='Set minimum_tls_version="1.2" or "1.3".',
    sources=("CKV_AZURE_205", "Azure.ServiceBus.MinTLS"),
    bad=(Sample(NAMESPACE, {"minimumTlsVersion": "1.0"}),),
    good=(Sample(NAMESPACE, {"minimumTlsVersion": "1.2"}),),
)
def minimum_tls(namespace: ResourceView, _: Parameters) -> Outcome:
    """Check the lowest TLS version. Unlike storage accounts, Service Bus takes 1.3 as the lowest too.

    Source: Service Bus documentation, "Configure the minimum TLS version for a Service Bus namespace".
    """
    absent = "The version then depends on when the namespace was made."
    return require(namespace["minimumTlsVersion"], one_of("1.2", "1.3"), absent=absent)


@rule(
    "SB10",
    "servicebus-no-manage-right",
    "Service Bus authorization rules do not give the right Manage",
    types=(NAMESPACE_KEY, QUEUE_KEY, TOPIC_KEY),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="Manage includes Send and Listen, and changes or deletes the queues and topics themselves.",
    reads="rights",
    absent="Passes: the property is required, and a rule without rights gives none.",
    remedy='Set rights to ["Send"] or ["Listen"], or use an Entra ID role instead of the rule.',
    sources=("AzP a1817ec0", "project"),
    bad=(Sample(QUEUE_KEY, {"rights": ["Listen", "Send", "Manage"]}),),
    good=(Sample(QUEUE_KEY, {"rights": ["Listen"]}),),
)
def no_manage_right(key: ResourceView, _: Parameters) -> list[Outcome]:
    """Check each right."""
    return every(key["rights"].elements(), lambda right: require(right, is_not("Manage"), absent="pass"))


@rule(
    "SB13",
    "servicebus-dead-letter-on-expiry",
    "Service Bus queues and subscriptions keep expired messages",
    types=(QUEUE, SUBSCRIPTION),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="A message that expires is otherwise deleted without a trace, and nobody learns that the work was not done.",
    reads="deadLetteringOnMessageExpiration",
    absent="Fails: the service's default is false.",
    remedy="Set dead_lettering_on_message_expiration=True and watch the dead letter queue.",
    sources=("pb:service-bus-dead-letter-queue",),
    bad=(Sample(QUEUE, {"deadLetteringOnMessageExpiration": False}),),
    good=(Sample(QUEUE, {"deadLetteringOnMessageExpiration": True}),),
)
def dead_letter_on_expiry(entity: ResourceView, _: Parameters) -> Outcome:
    """Check that expired messages go to the dead letter queue."""
    absent = "Messages that expire are then deleted."
    return require(entity["deadLetteringOnMessageExpiration"], is_true(), absent=absent)


@rule(
    "SB14",
    "servicebus-max-delivery-count",
    "Service Bus messages are delivered a few times before they are dead-lettered",
    types=(QUEUE, SUBSCRIPTION),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="With one or two deliveries a short outage dead-letters good messages; with many a poison message keeps the "
    "consumers busy.",
    reads="maxDeliveryCount",
    absent="The service's default is 10, which has to be within the bounds.",
    remedy="Set max_delivery_count to a number within the bounds, for example 5.",
    sources=("pb:service-bus-dead-letter-queue", "project"),
    parameters=(
        Parameter("minimumDeliveryCount", "integer", 3, "Fewest deliveries of a message.", minimum=1, maximum=2000),
        Parameter("maximumDeliveryCount", "integer", 10, "Most deliveries of a message.", minimum=1, maximum=2000),
    ),
    bad=(Sample(QUEUE, {"maxDeliveryCount": 1}),),
    good=(Sample(QUEUE, {"maxDeliveryCount": 5}),),
)
def max_delivery_count(entity: ResourceView, parameters: Parameters) -> Outcome:
    """Check the bounds of maxDeliveryCount."""
    place = entity["maxDeliveryCount"]
    test = between(parameters["minimumDeliveryCount"], parameters["maximumDeliveryCount"], "deliveries")
    if place.absent:
        if test(_DEFAULT_DELIVERIES):
            return passed(place)
        message = f"{place.path} is not set. The service's default is {_DEFAULT_DELIVERIES}."
        return failed(place, message, expected=test.expected)
    return require(place, test, absent="fail")


RULES: tuple[Rule, ...] = (no_local_auth, minimum_tls, no_manage_right, dead_letter_on_expiry, max_delivery_count)
