"""Azure RBAC: role assignments and custom roles."""

from __future__ import annotations

import re
from typing import Literal

from ringfence.policy.checks import PASS, every, failed, one_of, require, satisfying, undecided
from ringfence.policy.graph import ResourceView
from ringfence.policy.property import Property
from ringfence.policy.rule import Parameter, Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity
from ringfence_policies.azure.arm import cis

__all__ = [
    "ASSIGNMENT",
    "BUILT_IN_ROLES",
    "PRIVILEGED_ROLES",
    "RULES",
    "is_own_role",
    "role_guid",
    "role_guids",
    "scope_level",
]

ASSIGNMENT = "azure-native:authorization:RoleAssignment"
DEFINITION = "azure-native:authorization:RoleDefinition"
GROUP = "azure-native:resources:ResourceGroup"

BUILT_IN_ROLES = {
    "Owner": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "User Access Administrator": "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
    "Role Based Access Control Administrator": "f58310d9-a9f6-439a-9e8d-f62e7b41a168",
    "Reader": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
    "Azure Service Bus Data Owner": "090c5cfd-751d-490a-894a-3ce6f1109419",
    "Azure Service Bus Data Sender": "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39",
    "Azure Service Bus Data Receiver": "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "AzureML Data Scientist": "f6c7c914-8db3-469d-8ca1-694a8f32e121",
}
"""GUIDs of built-in roles by name, from Microsoft's list of Azure built-in roles."""

_GUIDS = {name.casefold(): guid for name, guid in BUILT_IN_ROLES.items()}
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000000"
_ROLES = f"{_SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions"


PRIVILEGED_ROLES = Parameter(
    "roles",
    "array",
    ("Owner", "Contributor", "User Access Administrator", "Role Based Access Control Administrator"),
    "Roles that nobody may be given: GUIDs, or names of " + ", ".join(BUILT_IN_ROLES) + ".",
)
"""The roles that RB01 and RB10 refuse."""


def role_guids(roles: tuple[str, ...]) -> tuple[set[str], list[str]]:
    """Return the GUIDs of roles given by GUID or name, and the names that are not known."""
    folded = {role.strip().casefold(): role for role in roles}
    guids = {_GUIDS.get(role, role) for role in folded}
    return guids, [folded[role] for role in guids if not _GUID.fullmatch(role)]


def role_guid(place: Property) -> str:
    """Return the GUID of the role whose id is at `place`: the last segment at every scope, or a built-in role's name.

    What is no id of a role gives a text that is no GUID; what is unknown gives none.
    """
    segment = (place.text or "").rstrip("/").rpartition("/")[2].strip().casefold()
    return _GUIDS.get(segment, segment)


def is_own_role(assignment: ResourceView) -> bool:
    """Whether a role that is not known before apply is one that this stack defines.

    It then has a GUID of its own, whatever that will be, and RB04 judges what it may do.
    """
    place = assignment["roleDefinitionId"]
    own = [view for view in assignment.stack.feeding(place) if view.type == DEFINITION and not view.resource.external]
    return bool(own) and len(own) == len(place.sources)


@rule(
    "RB01",
    "rbac-no-privileged-role",
    "Role assignments give no administrator role",
    types=(ASSIGNMENT,),
    severity=Severity.CRITICAL,
    level=Level.MANDATORY,
    why="Owner, Contributor and the access administrators may change everything, or grant themselves that; a stack's "
    "identities need narrow roles.",
    reads="roleDefinitionId",
    absent="Fails: the property is required.",
    remedy="Assign a role that has only the rights the principal needs.",
    frameworks=(*cis(v40="6.3.3", v50="5.3.3", v60="5.3.3"), *cis(v50="5.27", v60="5.7")),
    sources=("Azure.RBAC.LimitOwner", "prowler:iam_role_user_access_admin_restricted", "pb:aad-role-assignments"),
    parameters=(PRIVILEGED_ROLES,),
    bad=(Sample(ASSIGNMENT, {"roleDefinitionId": f"{_ROLES}/{BUILT_IN_ROLES['Owner']}"}),),
    good=(Sample(ASSIGNMENT, {"roleDefinitionId": f"{_ROLES}/{BUILT_IN_ROLES['AcrPull']}"}),),
)
def no_privileged_role(assignment: ResourceView, parameters: Parameters) -> Outcome:
    """Check the last segment of the role's id, which is the role's GUID at every scope."""
    guids, nameless = role_guids(parameters["roles"])
    if nameless:
        return undecided(
            None, f"The parameter roles names {nameless[0]!r}, whose GUID is not known here: give the GUID."
        )
    place = assignment["roleDefinitionId"]
    if place.unknown:
        return PASS if is_own_role(assignment) else undecided(place)
    names = {guid: name for name, guid in BUILT_IN_ROLES.items()}
    shown = ", ".join(sorted(names.get(guid, guid) for guid in guids))
    guid = role_guid(place)
    if guid in guids:
        message = f"{place.path} is the role {names.get(guid, guid)}."
        return failed(place, message, expected=f"a role other than {shown}")
    # The id of a role always ends in a GUID; anything else could be any role.
    test = satisfying(lambda _: _GUID.fullmatch(guid) is not None, "an id that ends in the GUID of a role", "string")
    return require(place, test, absent="fail")


ScopeLevel = Literal["tenant", "managementGroup", "subscription", "resourceGroup", "resource"]


def scope_level(scope: str) -> ScopeLevel | None:
    """Return which level of Azure's hierarchy an ARM id names; None for what is no ARM id.

    A resource of a subscription that is in no group counts as a resource.
    """
    segments = scope.strip().strip("/").split("/")
    folded = [segment.casefold() for segment in segments]
    if not scope.strip().startswith("/") or (scope.strip("/ ") and not all(folded)):
        return None
    match folded:
        case [""]:
            return "tenant"
        case ["providers", "microsoft.management", "managementgroups", _]:
            return "managementGroup"
        case ["subscriptions", _]:
            return "subscription"
        case ["subscriptions", _, "resourcegroups", _]:
            return "resourceGroup"
        case ["subscriptions", _, "resourcegroups", _, "providers", _, _, _, *_]:
            return "resource"
        case ["subscriptions", _, "providers", _, _, _, *_]:
            return "resource"
    return None


@rule(
    "RB02",
    "rbac-narrow-scope",
    "Role assignments are made on a resource",
    types=(ASSIGNMENT,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="A role on a group or a subscription holds for everything in it, today's resources and tomorrow's.",
    reads="scope",
    absent="Fails: the property is required.",
    remedy="Assign the role on the id of the one resource that the principal needs.",
    sources=("Azure.RBAC.LimitMGDelegation", "Azure.RBAC.UseRGDelegation"),
    parameters=(
        Parameter(
            "allowedLevels",
            "array",
            ("resource",),
            "Levels on which roles may be assigned. Management groups and the tenant are never among them.",
            choices=("resource", "resourceGroup", "subscription"),
        ),
    ),
    bad=(Sample(ASSIGNMENT, {"scope": f"{_SUBSCRIPTION}/resourceGroups/example"}),),
    good=(
        Sample(
            ASSIGNMENT,
            {"scope": f"{_SUBSCRIPTION}/resourceGroups/example/providers/Microsoft.Storage/storageAccounts/example"},
        ),
    ),
)
def narrow_scope(assignment: ResourceView, parameters: Parameters) -> Outcome:
    """Check the level of the scope; while it is unknown, by the resource that its value comes from."""
    place = assignment["scope"]
    allowed = parameters["allowedLevels"]
    expected = "the id of a " + " or a ".join(allowed) if allowed else "no assignment at all"
    if place.unknown:
        return _unknown_scope(assignment, place, allowed, expected)
    level = scope_level(place.text) if place.text is not None else None
    if level is not None and level not in allowed:
        return failed(place, f"{place.path} is a {level}: {place.shown}.", expected=expected)
    return require(place, satisfying(lambda _: level is not None, expected, "string"), absent="fail")


def _unknown_scope(assignment: ResourceView, place: Property, allowed: tuple[str, ...], expected: str) -> Outcome:
    origins = assignment.stack.feeding(place)
    if len(origins) != 1 or len(place.sources) != 1:
        return undecided(place, expected=expected)
    (origin,) = origins
    if origin.type == GROUP:
        # Most programs pass the group's id. Some build a resource's id from it: only the value can tell.
        if {"resourceGroup", "resource"} <= set(allowed):
            return PASS
        return undecided(
            place,
            f"{place.path} comes from the resource group {origin.name}: it is too wide unless a resource's id is built "
            "from it.",
            expected=expected,
        )
    if origin.type == "azure-native:management:ManagementGroup":
        return failed(place, f"{place.path} comes from the management group {origin.name}.", expected=expected)
    if origin.type.startswith(("azure-native:subscription:", "azure-native:management:")):
        return undecided(place, expected=expected)
    if origin.type.startswith("azure-native:") and "resource" in allowed:
        return PASS
    return undecided(place, expected=expected)


@rule(
    "RB03",
    "rbac-no-direct-users",
    "Roles are assigned to groups and service principals",
    types=(ASSIGNMENT,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="Rights of single people outlive their job and escape reviews; a group's members are seen in one place.",
    reads="principalType",
    absent="Fails: without it Azure looks the principal up, takes users too, and fails on principals just made.",
    remedy='Set principal_type to "ServicePrincipal" for an identity, to "Group" for people.',
    sources=("Azure.RBAC.UseGroups", "pb:aad-direct-user-roles"),
    bad=(Sample(ASSIGNMENT, {"principalType": "User"}),),
    good=(Sample(ASSIGNMENT, {"principalType": "ServicePrincipal"}),),
)
def no_direct_users(assignment: ResourceView, _: Parameters) -> Outcome:
    """Check the type of the principal."""
    absent = "The principal may then be a user."
    return require(assignment["principalType"], one_of("ServicePrincipal", "Group"), absent=absent)


_GIVES_ROLES = frozenset({"roleassignments/write", "roledefinitions/write", "elevateaccess/action"})
"""Actions of Microsoft.Authorization by which an identity gives itself every other one."""


def _too_wide(action: str) -> bool:
    """Whether an action pattern covers every provider, or the management of access, for more than reading."""
    provider, _, rest = action.strip().casefold().partition("/")
    if rest == "read" or rest.endswith("/read"):
        return False
    return "*" in provider or (provider == "microsoft.authorization" and ("*" in rest or rest in _GIVES_ROLES))


_ACTION = satisfying(
    lambda value: not _too_wide(value),
    "an action of one provider, none by which roles are given",
    "string",
)


@rule(
    "RB04",
    "rbac-no-wildcard-role",
    "Custom roles grant no wildcard over all providers or over access itself",
    types=(DEFINITION,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why='A role with "*", "*/write" or "Microsoft.Authorization/*" is an Owner by another name, and one that may write '
    "role assignments makes itself one.",
    reads="permissions[].actions, permissions[].dataActions",
    absent="Passes: a role without actions grants nothing.",
    remedy="Name the actions that the role needs, such as Microsoft.Storage/storageAccounts/read.",
    frameworks=cis(v21="1.22", v30="2.23", v40="6.23", v50="5.23", v60="5.4"),
    sources=(
        "CKV_AZURE_39",
        "prowler:iam_subscription_roles_owner_custom_not_created",
        "pb:aad-custom-roles",
        "pb:aad-role-no-wildcard-assignments",
    ),
    bad=(Sample(DEFINITION, {"permissions": [{"actions": ["Microsoft.Web/sites/read"]}, {"actions": ["*"]}]}),),
    good=(Sample(DEFINITION, {"permissions": [{"actions": ["Microsoft.Web/sites/read", "*/read"]}]}),),
)
def no_wildcard_role(definition: ResourceView, _: Parameters) -> list[Outcome]:
    """Check every action of every permission.

    What notActions takes away does not count: it leaves what providers will add tomorrow.
    """
    return every(definition["permissions"].elements(), _permission)


def _permission(permission: Property) -> list[Outcome]:
    return [
        outcome
        for key in ("actions", "dataActions")
        for outcome in every(permission[key].elements(), lambda action: require(action, _ACTION, absent="pass"))
    ]


RULES: tuple[Rule, ...] = (no_privileged_role, narrow_scope, no_direct_users, no_wildcard_role)
