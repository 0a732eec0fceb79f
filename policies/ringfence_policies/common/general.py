"""Rules that hold for every service: where resources are, and how they are tagged."""

from __future__ import annotations

from collections.abc import Iterator

from ringfence.policy.checks import PASS, every, failed, not_applicable, require, satisfying, undecided
from ringfence.policy.graph import ResourceView
from ringfence.policy.property import Property
from ringfence.policy.rule import Parameter, Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity
from ringfence_policies.common.taggable import TAGGABLE

__all__ = ["RULES"]

ACCOUNT = "azure-native:storage:StorageAccount"
COSMOS = "azure-native:cosmosdb:DatabaseAccount"
GROUP = "azure-native:resources:ResourceGroup"


_ANYWHERE = not_applicable("No locations are configured.")
_NO_TAGS = not_applicable("No tags are configured.")


def _location(name: str) -> str:
    """Return a location as Azure compares them: "West Europe" is westeurope."""
    return "".join(name.split()).casefold()


@rule(
    "GE01",
    "allowed-locations",
    "Resources are in allowed locations",
    types=(),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="Where data lies decides which law it is under, and what it costs to reach it.",
    reads="location; locations[].locationName of Cosmos DB accounts",
    absent="Not applicable: a resource without a location is where its resource group is, which is judged itself. "
    "A group takes its provider's location.",
    remedy="Use one of the locations that the rule's parameter allows, or add the location there.",
    sources=("Azure.Resource.AllowedRegions", "AzP e56962a6"),
    parameters=(
        Parameter(
            "locations",
            "array",
            (),
            "Azure locations where resources may be, for example westeurope. Empty: anywhere, the rule says nothing.",
        ),
    ),
    bad=(Sample(ACCOUNT, {"location": "West US"}),),
    good=(Sample(ACCOUNT, {"location": "West Europe"}),),
)
def allowed_locations(resource: ResourceView, parameters: Parameters) -> Outcome | list[Outcome]:
    """Check the resource's own location and the regions that it replicates to.

    Resources of AWS have no input for it: their region is the provider's.
    """
    if not parameters["locations"]:
        return _ANYWHERE
    if not resource.type.startswith("azure-native:"):
        return not_applicable("The type has no location.")
    # Global services such as DNS zones and action groups are in no region.
    allowed = {_location(name) for name in parameters["locations"]} | {"global"}
    expected = "one of " + ", ".join(parameters["locations"])
    test = satisfying(lambda value: _location(value) in allowed, expected, "string")
    place = resource["location"]
    regions = resource["locations"].elements() if resource.type == COSMOS else []
    outcomes = every(regions, lambda region: require(region["locationName"], test, absent="pass"))
    if not place.absent:
        outcomes.append(require(place, test, absent="pass"))
    elif resource.type == GROUP:
        inherited = _provider(resource, "location")
        told = "location is not set: the group takes its provider's, which is not known."
        outcomes.append(undecided(place, told) if inherited.absent else require(inherited, test, absent="fail"))
    return outcomes or not_applicable("The resource has no location of its own.")


def _provider(resource: ResourceView, key: str) -> Property:
    """Return the input `key` of the resource's provider, absent where the provider is not known."""
    provider = resource.stack.by_urn.get(resource.resource.provider or "")
    return provider[key] if provider is not None else Property(None, key)


def _required(entries: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the tag keys that a parameter asks for, each with the values that it allows (none: any)."""
    for entry in entries:
        key, _, values = entry.partition("=")
        if key.strip():
            yield key.strip(), tuple(value.strip() for value in values.split("|") if value.strip())


def _tags(place: Property) -> list[tuple[str, Property]]:
    """Return the tags that are known by name: of an object, or of a list of keys and values as some AWS types take."""
    if place.is_object:
        return list(place.entries())
    return [(element["key"].text or "", element["value"]) for element in place.elements() if element.is_object]


def _tag(key: str, allowed: tuple[str, ...], azure: bool, places: list[Property]) -> Outcome:
    """Judge one required tag by the places that may hold it; those that come first win."""
    wanted = key.casefold() if azure else key  # Azure does not regard the case of a tag's name, AWS does
    expected = f"the tag {key}" + (f" with one of {', '.join(allowed)}" if allowed else "")
    for place in places:
        for name, value in _tags(place):
            if (name.casefold() if azure else name) != wanted or value.absent:
                continue
            if value.unknown:
                return undecided(value, expected=expected) if allowed else PASS
            if not value.text or not value.text.strip():
                return failed(value, f"The tag {key} is {value.shown}.", expected=expected)
            if allowed and value.text not in allowed:
                return failed(value, f"The tag {key} is {value.shown}.", expected=expected)
            return PASS
        if place.unknown or (place.is_list and any(item["key"].unknown for item in place.elements())):
            return undecided(place, expected=expected)
    return failed(places[0][key], f"The tag {key} is missing.", expected=expected, actual="nothing")


@rule(
    "GE02",
    "required-tags",
    "Resources carry the required tags",
    types=(),
    severity=Severity.LOW,
    level=Level.MANDATORY,
    why="Tags say who owns a resource, what it is for and who pays; nobody can ask a resource afterwards.",
    reads="tags; the AWS provider's defaultTags",
    absent="Fails for types that take tags: nobody else adds them. Not applicable to the others.",
    remedy="Add the missing tags, best in one place for the whole stack.",
    sources=("Azure.Resource.UseTags", "Azure.Resource.RequiredTags", "FSBP *.tags", "pb:resource-tagging"),
    parameters=(
        Parameter(
            "tags",
            "array",
            (),
            "Tags that every resource must carry: a key, or a key with the values it may have, as in env=dev|prod. "
            "Empty: none, the rule says nothing.",
        ),
    ),
    bad=(Sample(ACCOUNT, {"tags": {"env": "dev"}}),),
    good=(Sample(ACCOUNT, {"tags": {"env": "dev", "owner": "team-a"}}),),
)
def required_tags(resource: ResourceView, parameters: Parameters) -> Outcome | list[Outcome]:
    """Check each required tag by itself."""
    required = list(_required(parameters["tags"])) if parameters["tags"] else []
    if not required:
        return _NO_TAGS
    azure = resource.type.startswith("azure-native:")
    if not azure and not resource.type.startswith("aws:"):
        return not_applicable("The type takes no tags that the rule knows.")
    place = resource["tags"]
    # What a type outside the table calls tags may be something else: a legal hold's tags are a list of words.
    if resource.type not in TAGGABLE and not (place.is_object or place.unknown):
        return not_applicable("The type takes no tags.")
    if place.present and not place.is_object and (azure or not place.is_list):
        return failed(place, f"tags is {place.shown}.", expected="an object of keys and values")
    places = [place] if azure else [place, _provider(resource, "defaultTags").json()["tags"].json()]
    return [_tag(key, allowed, azure, places) for key, allowed in required]


RULES: tuple[Rule, ...] = (allowed_locations, required_tags)
