"""Azure RBAC: what a role assignment means beside the other resources of the stack."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase

from ringfence.policy.checks import PASS, failed, not_applicable, undecided
from ringfence.policy.graph import ResourceView, StackView
from ringfence.policy.property import Property
from ringfence.policy.rule import Parameter, Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity
from ringfence_policies.azure.authorization import (
    ASSIGNMENT,
    BUILT_IN_ROLES,
    PRIVILEGED_ROLES,
    is_own_role,
    role_guid,
    role_guids,
)

__all__ = ["RULES"]

IDENTITY = "azure-native:managedidentity:UserAssignedIdentity"
WEB_APP = "azure-native:web:WebApp"

_EVENT_SOURCES = frozenset(
    f"azure-native:eventgrid:{name}" for name in ("Domain", "PartnerNamespace", "SystemTopic", "Topic")
)
"""Event Grid delivers events to Service Bus with the identity of these, and receives nothing there."""

_WORKLOADS = _EVENT_SOURCES | {
    IDENTITY,
    WEB_APP,
    "azure-native:web:WebAppSlot",
    "azure-native:app:ContainerApp",
    "azure-native:app:Job",
    "azure-native:compute:VirtualMachine",
    "azure-native:compute:VirtualMachineScaleSet",
    "azure-native:containerinstance:ContainerGroup",
    "azure-native:containerinstance:NGroup",
    "azure-native:datafactory:Factory",
    "azure-native:logic:Workflow",
    "azure-native:machinelearningservices:BatchEndpoint",
    "azure-native:machinelearningservices:Compute",
    "azure-native:machinelearningservices:OnlineEndpoint",
    "azure-native:machinelearningservices:Workspace",
}
"""Types whose managed identity is that of running code or of a service at work.

Policy assignments and the like have identities too, which need wide roles to do what they are for; they are not here.
"""

_SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000000"
_QUEUE = f"{_SUBSCRIPTION}/resourceGroups/example/providers/Microsoft.ServiceBus/namespaces/example/queues/jobs"
_PRINCIPAL = "11111111-1111-4111-8111-111111111111"


def _role(name: str) -> str:
    return f"{_SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{BUILT_IN_ROLES[name]}"


def _principal(assignment: ResourceView) -> tuple[list[ResourceView], bool]:
    """Return the workloads of the stack whose identity the principal is, and whether that is certain.

    An id that is made from workloads only belongs to one of them. A known id is also compared with the ids that the
    workloads are known to have.
    """
    place = assignment["principalId"]
    sources = [view for view in assignment.stack.feeding(place) if view.type in _WORKLOADS]
    if sources:
        return sources, len(sources) == len(place.sources)
    if place.text is not None:
        return assignment.stack.once(_by_principal).get(place.text.strip().casefold(), []), True
    return [], not place.unknown or bool(place.sources)


def _by_principal(stack: StackView) -> dict[str, list[ResourceView]]:
    """Return the workloads of the stack by the principal ids of their identities, as far as these are known."""
    found: dict[str, list[ResourceView]] = {}
    for view in stack.of_type(*_WORKLOADS):
        for principal in _principal_ids(view):
            found.setdefault(principal, []).append(view)
    return found


def _principal_ids(workload: ResourceView) -> set[str]:
    identity = workload.output("identity")
    places = [workload.output("principalId") if workload.type == IDENTITY else identity["principalId"]]
    assigned = identity["userAssignedIdentities"]
    if assigned.is_object:
        places += [value["principalId"] for _, value in assigned.entries()]
    return {place.text.casefold() for place in places if place.text}


def _names(workloads: list[ResourceView]) -> str:
    return " or ".join(view.name for view in workloads)


def _assignment(role: str, workload: str = "worker") -> tuple[Sample, Sample]:
    """Return an example of a web app and a role that its identity is given."""
    return (
        Sample(
            WEB_APP,
            {"identity": {"type": "SystemAssigned"}},
            name=workload,
            outputs={"identity": {"type": "SystemAssigned", "principalId": _PRINCIPAL}},
        ),
        Sample(
            ASSIGNMENT,
            {
                "principalId": _PRINCIPAL,
                "principalType": "ServicePrincipal",
                "roleDefinitionId": _role(role),
                "scope": _QUEUE,
            },
            feeds={"principalId": (workload,)},
        ),
    )


_OWNER, _SENDER, _RECEIVER = (
    BUILT_IN_ROLES[f"Azure Service Bus Data {name}"] for name in ("Owner", "Sender", "Receiver")
)


@rule(
    "RB07",
    "rbac-one-way-data-role",
    "Workloads may send to Service Bus or receive from it, and not own it",
    types=(ASSIGNMENT,),
    severity=Severity.MEDIUM,
    level=Level.ADVISORY,
    graph=True,
    why="Azure Service Bus Data Owner sends, receives and changes queues. A producer that may receive can take away "
    "what its consumer should get; a consumer that may send can feed itself.",
    reads="roleDefinitionId, principalId, principalType; the resource that the principal is the identity of",
    absent="Not applicable without one of the three data roles of Service Bus.",
    remedy="Assign Azure Service Bus Data Sender to what sends, Azure Service Bus Data Receiver to what receives.",
    sources=("project",),
    parameters=(
        Parameter(
            "producers",
            "array",
            (),
            "Names of resources whose identity only sends, with * for any text; Event Grid's are known to.",
        ),
        Parameter("consumers", "array", (), "Names of resources whose identity only receives, with * for any text."),
    ),
    bad=_assignment("Azure Service Bus Data Owner"),
    good=_assignment("Azure Service Bus Data Receiver"),
)
def one_way_data_role(assignment: ResourceView, parameters: Parameters) -> Outcome:
    """Check the three data roles of Service Bus.

    Data Owner fails for every workload: an identity of the stack, or a service principal of elsewhere. Nothing in a
    program says whether code sends or receives, so Data Sender and Data Receiver fail only where the direction is
    known: Event Grid sends, and the parameters may name others.
    """
    place = assignment["roleDefinitionId"]
    if place.unknown and not is_own_role(assignment):
        return undecided(place)
    role = role_guid(place)
    if role not in (_OWNER, _SENDER, _RECEIVER):
        return not_applicable("The role is no data role of Service Bus.")
    workloads, certain = _principal(assignment)
    if role == _OWNER:
        return _owner(assignment, workloads, certain)
    wrong_way = [view for view in workloads if _goes_wrong_way(view, role, parameters)]
    if not wrong_way:
        return PASS
    way = "receives" if role == _SENDER else "sends"
    message = f"{place.path} is the role {_name(role)}, but {_names(wrong_way)} only {way}."
    if not certain or len(wrong_way) < len(workloads):
        return undecided(assignment["principalId"], f"The principal may be {_names(wrong_way)}, which only {way}.")
    return failed(place, message, expected=_name(_RECEIVER if role == _SENDER else _SENDER), actual=_name(role))


def _name(guid: str) -> str:
    return next(name for name, known in BUILT_IN_ROLES.items() if known == guid)


def _owner(assignment: ResourceView, workloads: list[ResourceView], certain: bool) -> Outcome:
    place, kind = assignment["roleDefinitionId"], assignment["principalType"]
    of_workload = bool(workloads) and certain
    if of_workload or (kind.text or "").casefold() == "serviceprincipal":
        whom = f"the identity of {_names(workloads)}" if of_workload else "a service principal"
        message = f"{place.path} is the role {_name(_OWNER)}, given to {whom}."
        return failed(place, message, expected="Azure Service Bus Data Sender or Data Receiver", actual=_name(_OWNER))
    if workloads or kind.unknown or kind.absent:
        return undecided(assignment["principalId"], "It is not known whether the principal is that of a workload.")
    # The SDK fills in User where the program says nothing; Azure then refuses an identity, so it is none.
    return not_applicable("The principal is no workload.")


def _goes_wrong_way(workload: ResourceView, role: str, parameters: Parameters) -> bool:
    sends = workload.type in _EVENT_SOURCES or _named(workload, parameters["producers"])
    receives = _named(workload, parameters["consumers"])
    return sends and not receives if role == _RECEIVER else receives and not sends


def _named(workload: ResourceView, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(workload.name, pattern) for pattern in patterns)


@rule(
    "RB08",
    "rbac-no-duplicates",
    "No role is assigned twice to one principal on one scope",
    types=(ASSIGNMENT,),
    severity=Severity.LOW,
    level=Level.ADVISORY,
    graph=True,
    why="Azure refuses the second assignment (RoleAssignmentExists), when the stack is half deployed.",
    reads="principalId, roleDefinitionId and scope of all role assignments",
    absent="Passes: the three are required, and what lacks one is no assignment.",
    remedy="Remove one of the two assignments.",
    sources=("project",),
    bad=(
        *_assignment("AcrPull"),
        *(Sample(item.type, item.inputs, name="again") for item in _assignment("AcrPull")[1:]),
    ),
    good=(
        *_assignment("AcrPull"),
        *(
            Sample(item.type, {**item.inputs, "scope": _QUEUE + "-2"}, name="again")
            for item in _assignment("AcrPull")[1:]
        ),
    ),
)
def no_duplicates(assignment: ResourceView, _: Parameters) -> Outcome:
    """Compare with the assignments before this one; the later of two is the one that Azure refuses.

    Assignments that differ in their condition only are duplicates too.
    """
    uncertain: ResourceView | None = None
    for _number, other in _alike(assignment):
        if other is assignment:
            break
        same = _same_assignment(assignment, other)
        if same:
            return failed(None, f"{other.name} assigns the same role to the same principal on the same scope.")
        if same is None:
            uncertain = uncertain or other
    if uncertain is not None:
        return undecided(None, f"It is not known before apply whether {uncertain.name} assigns the same.")
    return PASS


def _id(place: Property) -> str:
    return (place.text or "").strip().rstrip("/").casefold()


_COMPARED: tuple[tuple[str, Callable[[Property], str]], ...] = (
    ("roleDefinitionId", role_guid),
    ("scope", _id),
    ("principalId", _id),
)


_Numbered = list[tuple[int, ResourceView]]


def _alike(assignment: ResourceView) -> _Numbered:
    """Return the assignments that may be the same in one of the three properties, the one that leaves the fewest."""
    found: list[_Numbered] = []
    for key, normal in _COMPARED:
        place, index = assignment[key], assignment.stack.once(_by_value, key, normal)
        if place.text is not None:
            keys = [("text", normal(place)), ("unknown", "")]
        elif place.unknown and not place.sources:
            keys = [("any", "")]
        else:
            keys = [("source", source) for source in (*place.sources, "")]
        found.append([entry for each in keys for entry in index.get(each, ())])
    fewest = min(found, key=len)
    return sorted(set(fewest))


def _by_value(stack: StackView, key: str, normal: Callable[[Property], str]) -> dict[tuple[str, str], _Numbered]:
    """Return the assignments, numbered, by what a property holds: its text, and the resources that it is made of."""
    index: dict[tuple[str, str], _Numbered] = {}
    for number, view in enumerate(stack.of_type(ASSIGNMENT)):
        place = view[key]
        keys = [("any", ""), ("text", normal(place)) if place.text is not None else ("unknown", "")]
        keys += [("source", source) for source in place.sources or ("",)]
        for each in keys:
            index.setdefault(each, []).append((number, view))
    return index


def _same_assignment(one: ResourceView, other: ResourceView) -> bool | None:
    """Return whether two assignments are of one role to one principal on one scope; None if that is unknown."""
    answer: bool | None = True
    for key, normal in _COMPARED:
        same = _same(one[key], other[key], normal)
        if same is False:
            return False
        answer = answer and same
    return answer


def _same(one: Property, other: Property, normal: Callable[[Property], str]) -> bool | None:
    if one.text is not None and other.text is not None:
        return normal(one) == normal(other)
    if not (one.text or one.unknown) or not (other.text or other.unknown):
        return False
    # What is made of different resources differs: ids of two apps, or of two queues.
    apart = one.sources and other.sources and set(one.sources).isdisjoint(other.sources)
    return False if apart else None


@rule(
    "RB10",
    "rbac-workload-no-admin",
    "Identities of workloads have no administrator role",
    types=(ASSIGNMENT,),
    severity=Severity.CRITICAL,
    level=Level.MANDATORY,
    graph=True,
    why="Whoever takes over an app with such an identity owns all that the role's scope holds, not only the app.",
    reads="principalId, roleDefinitionId; the resource that the principal is the identity of",
    absent="Not applicable: a principal that is no identity of the stack is not judged here, but by RB01.",
    remedy="Assign the workload a role that has only the rights it needs, on the one resource it needs them on.",
    sources=("prowler:app_function_identity_without_admin_privileges",),
    parameters=(PRIVILEGED_ROLES,),
    bad=_assignment("Contributor"),
    good=_assignment("AcrPull"),
)
def workload_no_admin(assignment: ResourceView, parameters: Parameters) -> Outcome:
    """Check the role where the principal is the identity of an app, a container group, an endpoint or the like."""
    guids, nameless = role_guids(parameters["roles"])
    if nameless:
        return undecided(
            None, f"The parameter roles names {nameless[0]!r}, whose GUID is not known here: give the GUID."
        )
    workloads, certain = _principal(assignment)
    if certain and not workloads:
        return not_applicable("The principal is no identity of a resource of the stack.")
    place = assignment["roleDefinitionId"]
    if place.unknown:
        return PASS if is_own_role(assignment) else undecided(place)
    guid = role_guid(place)
    if guid not in guids:
        return PASS
    name = next((name for name, known in BUILT_IN_ROLES.items() if known == guid), guid)
    if not certain:
        message = f"The role is {name}, and it is not known before apply whether the principal is that of a workload."
        return undecided(assignment["principalId"], message)
    message = f"{place.path} is the role {name}, given to the identity of {_names(workloads)}."
    return failed(place, message, expected="a role with only the rights that the workload needs", actual=name)


RULES: tuple[Rule, ...] = (one_way_data_role, no_duplicates, workload_no_admin)
