"""Azure Container Instances: container groups and their profiles.

Profiles (`ContainerGroupProfile`, and `CGProfile` in API version 2024-11-01-preview) describe containers as groups do.
"""

from __future__ import annotations

from ringfence.policy.checks import PASS, Test, every, failed, is_not, not_applicable, require, satisfying, undecided
from ringfence.policy.graph import ResourceView, StackView
from ringfence.policy.property import Property, number_of
from ringfence.policy.rule import Parameter, Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity
from ringfence_policies.azure.app_settings import malformed, plain_setting

__all__ = ["RULES"]

GROUP = "azure-native:containerinstance:ContainerGroup"
PROFILE = "azure-native:containerinstance:ContainerGroupProfile"
CG_PROFILE = "azure-native:containerinstance:CGProfile"


def _all_containers(group: ResourceView) -> list[Property]:
    """Return the containers and the init containers."""
    return [*group["containers"].elements(), *group["initContainers"].elements()]


def _containers(**container: object) -> dict[str, object]:
    """Return the inputs of an example with one container."""
    return {"containers": [{"name": "app", **container}]}


_SECURE = "a secureValue, or an identity that needs no credential"


def _variable(variable: Property) -> Outcome:
    if variable.absent:
        return PASS
    if not variable.is_object:
        return malformed(variable, "an object of a name and a value")
    name = variable["name"]
    shown = "An environment variable" if name.text is None else f"Environment variable {name.shown}"
    return plain_setting(None if name.unknown else name.text or "", shown, variable["value"], _SECURE)


def _variables(container: Property) -> list[Outcome]:
    variables = container["environmentVariables"]
    if variables.absent or variables.unknown or variables.is_list:
        return every(variables.elements(), _variable)
    return [malformed(variables, "a list")]


@rule(
    "CI03",
    "container-no-plain-secrets",
    "Environment variables of containers hold no credentials in plain text",
    types=(GROUP, PROFILE, CG_PROFILE),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="Everyone who may read the container group reads the plain values of its environment; secure values are "
    "shown to nobody.",
    reads="containers[].environmentVariables[].value, initContainers[].environmentVariables[].value",
    absent="Passes: no variables, no credentials.",
    remedy="Give the value as secure_value, or use the group's managed identity and no credential at all.",
    sources=("CKV_AZURE_235", "project"),
    bad=(Sample(GROUP, _containers(environmentVariables=[{"name": "DB_PASSWORD", "value": "example-only"}])),),
    good=(
        Sample(
            GROUP,
            _containers(
                environmentVariables=[
                    {"name": "MODE", "value": "batch"},
                    {"name": "DB_PASSWORD", "secureValue": "example-only"},
                ]
            ),
        ),
    ),
)
def no_plain_secrets(group: ResourceView, _: Parameters) -> list[Outcome]:
    """Check every variable of every container and init container. Values never get into a message."""
    return every(_all_containers(group), _variables)


@rule(
    "CI05",
    "container-not-privileged",
    "Containers are not privileged",
    types=(GROUP, PROFILE, CG_PROFILE),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="A privileged container, or a process that may gain privileges, is one bug away from its host.",
    reads="securityContext.privileged and securityContext.allowPrivilegeEscalation of containers[] and "
    "initContainers[]",
    absent="Passes: both are off unless switched on.",
    remedy="Leave privileged and allow_privilege_escalation out or set them to False.",
    sources=("pb:container-instance-privileged-mode",),
    bad=(Sample(GROUP, _containers(securityContext={"privileged": True})),),
    good=(Sample(GROUP, _containers(securityContext={"privileged": False, "allowPrivilegeEscalation": False})),),
)
def not_privileged(group: ResourceView, _: Parameters) -> list[Outcome]:
    """Check the security context of every container and init container."""

    def check(container: Property) -> list[Outcome]:
        context = container["securityContext"]
        return [
            require(context[key], is_not(True), absent="pass") for key in ("privileged", "allowPrivilegeEscalation")
        ]

    return every(_all_containers(group), check)


_DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")


def _split(image: str) -> tuple[str, str, str]:
    """Return the repository with its registry, the tag and the digest of an image reference, empty where missing.

    The first part is a registry if it has a dot or a port or is localhost; else the image is on Docker Hub.
    """
    name, _, digest = image.strip().partition("@")
    first, slash, rest = name.partition("/")
    is_registry = bool(slash) and ("." in first or ":" in first or first == "localhost")
    registry, path = (first.casefold(), rest) if is_registry else ("docker.io", name)
    folder, slash, last = path.rpartition("/")
    repository, _, tag = last.partition(":")
    return f"{'docker.io' if registry in _DOCKER_HUB else registry}/{folder}{slash}{repository}", tag, digest


def _is_pinned(image: str) -> bool:
    _, tag, digest = _split(image)
    algorithm, colon, value = digest.partition(":")
    return bool(algorithm and colon and value) or ("@" not in image and tag.casefold() not in ("", "latest"))


_PINNED = satisfying(_is_pinned, "an image with a digest, or with a tag other than latest", "string")


@rule(
    "CI07",
    "container-image-pinned",
    "Container images are pinned, and come from an allowed registry",
    types=(GROUP, PROFILE, CG_PROFILE),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="What latest is changes: two replicas may run different code, and nobody can say which. A registry that "
    "nobody chose may serve anything.",
    reads="image of containers[] and initContainers[]",
    absent="Fails: a container needs an image. Passes where the group refers to a containerGroupProfile, which is "
    "judged itself.",
    remedy="Name the image by its digest (…@sha256:…), or by a tag that stays what it is.",
    sources=("project",),
    parameters=(
        Parameter(
            "registries",
            "array",
            (),
            "Registries, or folders within one, that images may come from, for example example.azurecr.io or "
            "docker.io/library. Empty: any.",
        ),
    ),
    bad=(Sample(GROUP, _containers(image="example.azurecr.io/score:latest")),),
    good=(Sample(GROUP, _containers(image="example.azurecr.io/score:1.4.2")),),
)
def image_pinned(group: ResourceView, parameters: Parameters) -> list[Outcome]:
    """Check the image of every container and init container."""
    folders = [folder.strip().rstrip("/") + "/" for folder in parameters["registries"]]
    from_profile = not group["containerGroupProfile"].absent

    def is_allowed(image: str) -> bool:
        repository = _split(image)[0].casefold()
        return any(repository.startswith(folder.casefold()) for folder in folders)

    test = satisfying(is_allowed, "an image from " + ", ".join(parameters["registries"]), "string")

    def check(container: Property) -> list[Outcome]:
        image = container["image"]
        if image.absent and from_profile:
            return [PASS]
        pinned = require(image, _PINNED, absent="fail")
        return [pinned, require(image, test, absent="fail")] if folders and image.present else [pinned]

    return every(_all_containers(group), check)


_SIZED = {
    "requests": {"cpu": 1, "memoryInGB": 2},
    "limits": {"cpu": 2, "memoryInGB": 2},
}


@rule(
    "CI09",
    "container-limits",
    "Containers request and limit CPU and memory",
    types=(GROUP, PROFILE, CG_PROFILE),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="What a container may use bounds what it costs, and keeps it from starving the others of its group.",
    reads="resources.requests and resources.limits of containers[]: cpu, memoryInGB",
    absent="Fails: requests are required, and a limit that is not stated is taken from the request, which nobody "
    "reads as a limit. Init containers have no resources of their own.",
    remedy="Set cpu and memory_in_gb in resources.requests and in resources.limits.",
    sources=("project",),
    parameters=(
        Parameter("maximumCpu", "number", 4, "CPU cores of one container, at most.", minimum=0.01),
        Parameter("maximumMemoryInGB", "number", 16, "Memory of one container in GB, at most.", minimum=0.1),
    ),
    bad=(Sample(GROUP, _containers(resources={"requests": {"cpu": 1, "memoryInGB": 2}})),),
    good=(Sample(GROUP, _containers(resources=_SIZED)),),
)
def limits(group: ResourceView, parameters: Parameters) -> list[Outcome]:
    """Check the requests and the limits of every container."""
    tests = (
        ("cpu", _amount(parameters["maximumCpu"], "cores")),
        ("memoryInGB", _amount(parameters["maximumMemoryInGB"], "GB")),
    )
    from_profile = not group["containerGroupProfile"].absent

    def check(container: Property) -> list[Outcome]:
        resources = container["resources"]
        if resources.absent and from_profile:
            return [PASS]
        return [
            require(resources[kind][key], test, absent="fail") for kind in ("requests", "limits") for key, test in tests
        ]

    return every(group["containers"].elements(), check)


def _amount(most: float, unit: str) -> Test:
    def accepts(value: object) -> bool:
        number = number_of(value)
        return number is not None and 0 < number <= most

    return satisfying(accepts, f"more than 0 and at most {most:g} {unit}")


@rule(
    "CI11",
    "container-replica-bounds",
    "The number of like container groups is bounded",
    types=(GROUP,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    graph=True,
    why="Container groups do not scale by themselves: a program scales them by making more of them, and a wrong number "
    "is paid for by the second.",
    reads="the container groups with the same parent; containers[].image where the parent is no component",
    absent="Does not apply: what counts is how many groups there are.",
    remedy="Make as many groups as the bounds allow, or change the rule's parameters.",
    sources=("project",),
    parameters=(
        Parameter("minimumGroups", "integer", 1, "Fewest groups of one component.", minimum=1),
        Parameter("maximumGroups", "integer", 10, "Most groups of one component.", minimum=1),
    ),
    bad=tuple(Sample(GROUP, _containers(image="score:1.4.2"), name=f"score-{index}") for index in range(11)),
    good=tuple(Sample(GROUP, _containers(image="score:1.4.2"), name=f"score-{index}") for index in range(3)),
)
def replica_bounds(group: ResourceView, parameters: Parameters) -> Outcome:
    """Count the groups, and say so at the first of them.

    The groups of one component resource are its replicas. Groups that have no component over them may be anything;
    there, those that run the same images are replicas of each other.
    """
    low, high = parameters["minimumGroups"], parameters["maximumGroups"]
    replicas, perhaps = group.stack.once(_replicas)[group]
    if replicas[0] is not group:
        return not_applicable(f"The groups are counted at {replicas[0].name}.")
    count, expected = len(replicas), f"from {low} to {high} container groups"
    if count > high or count + perhaps < low:
        message = f"There are {count} container groups side by side, expected {expected}."
        return failed(None, message, expected=expected, actual=f"{count} container groups")
    if count < low or count + perhaps > high:
        message = f"{perhaps} further container groups may be replicas of this one: an image is not known before apply."
        return undecided(None, message, expected=expected)
    return PASS


def _replicas(stack: StackView) -> dict[ResourceView, tuple[list[ResourceView], int]]:
    """Return for each group the replicas that it is one of, and how many groups more may be."""
    families: dict[str | None, list[ResourceView]] = {}
    for group in stack.of_type(GROUP):
        if not group.resource.external:
            families.setdefault(group.resource.parent, []).append(group)
    found: dict[ResourceView, tuple[list[ResourceView], int]] = {}
    for urn, groups in families.items():
        parent = stack.by_urn.get(urn or "")
        if parent is not None and not parent.resource.custom:
            found.update((group, (groups, 0)) for group in groups)
            continue
        by_images: dict[_Images | None, list[ResourceView]] = {}
        for group in groups:
            by_images.setdefault(_images(group), []).append(group)
        unknown = by_images.pop(None, [])
        found.update((group, ([group], len(groups) - 1)) for group in unknown)
        for alike in by_images.values():
            found.update((group, (alike, len(unknown))) for group in alike)
    return found


_Images = tuple[object, ...]


def _images(group: ResourceView) -> _Images | None:
    """Return what says which images a group runs, those of its containers and its profile; None if that is unknown.

    What is no scalar is no image and cannot be compared by its hash; its text stands for it.
    """
    places = [container["image"] for container in group["containers"].elements()]
    places.append(group["containerGroupProfile"]["id"])
    if any(place.unknown for place in places):
        return None
    values = [place.value for place in places]
    return tuple(value if value is None or isinstance(value, str | int | float) else (repr(value),) for value in values)


RULES: tuple[Rule, ...] = (no_plain_secrets, not_privileged, image_pinned, limits, replica_bounds)
