"""Application Auto Scaling: which target scales which resource."""

from __future__ import annotations

from collections.abc import Iterator

from ringfence.policy.graph import ResourceView, StackView
from ringfence_policies.aws.references import Index, properties

__all__ = ["POLICY", "TARGET", "scales", "targets", "tracks"]

TARGET = "aws:appautoscaling/target:Target"
POLICY = "aws:appautoscaling/policy:Policy"


def targets(
    view: ResourceView, namespace: str, dimension: str, resource_id: str | None
) -> Iterator[tuple[ResourceView, bool | None]]:
    """Yield the scaling targets in the stack that scale `view`, or that may (None).

    `resource_id` is the id that a target needs, for example `table/sessions`; None where it is not known before apply.
    A resource id that is unknown too belongs to the resource of this type that went into it, if there is one only.
    """
    index = view.stack.once(Index, properties(TARGET, "resourceId"))
    for target, _ in index.find(view.urn, resource_id, literals=resource_id is None):
        facts = (
            _is(target, "serviceNamespace", namespace),
            _is(target, "scalableDimension", dimension),
            _names(target, view, resource_id),
        )
        if False not in facts:
            yield target, None if None in facts else True


def scales(view: ResourceView, namespace: str, dimension: str, resource_id: str | None) -> bool | None:
    """Return whether a target in the stack scales `view`; None if that is unknown."""
    found = [known for _, known in targets(view, namespace, dimension, resource_id)]
    return True if True in found else None if found else False


def tracks(target: ResourceView) -> bool | None:
    """Return whether a target tracking policy in the stack is for `target`; None if that is unknown."""
    verdict: bool | None = False
    for policy in _policies_for(target):
        facts = (
            _is(policy, "policyType", "TargetTrackingScaling"),
            _agree(policy, target, "resourceId"),
            _agree(policy, target, "scalableDimension"),
        )
        if False not in facts:
            if None not in facts:
                return True
            verdict = None
    return verdict


def _policies_for(target: ResourceView) -> list[ResourceView]:
    """Return the policies that may take the resource id of the target or have the same."""
    place, by_key = target["resourceId"], target.stack.once(_policies)
    keys = ("text", place.text), ("target", target.urn), ("any", "") if place.unknown else ("any unknown", "")
    return [policy for key in keys for policy in by_key.get(key, ())]


def _policies(stack: StackView) -> dict[tuple[str, str | None], list[ResourceView]]:
    """Return the scaling policies by their resource id and by the targets that it comes from; else under `any`."""
    index: dict[tuple[str, str | None], list[ResourceView]] = {}
    for policy in stack.of_type(POLICY):
        place = policy["resourceId"]
        keys: list[tuple[str, str | None]] = [
            ("target", source.urn) for source in stack.feeding(place) if source.type == TARGET
        ]
        if not keys:
            keys = [("any", ""), *([("any unknown", "")] if place.unknown else [])]
        if place.text is not None:
            keys.append(("text", place.text))
        for key in keys:
            index.setdefault(key, []).append(policy)
    return index


def _agree(policy: ResourceView, target: ResourceView, key: str) -> bool | None:
    """Return whether a policy takes `key` from the target, or has the same value."""
    one, other = policy[key], target[key]
    if one.text is not None and other.text is not None:
        return one.text == other.text
    sources = [view for view in policy.stack.feeding(one) if view.type == TARGET]
    if sources:
        return target in sources if len(sources) == 1 or target not in sources else None
    return None if one.unknown or other.unknown else False


def _is(target: ResourceView, key: str, wanted: str) -> bool | None:
    place = target[key]
    return None if place.unknown else place.text == wanted


def _names(target: ResourceView, view: ResourceView, resource_id: str | None) -> bool | None:
    place = target["resourceId"]
    if place.text is not None and resource_id is not None:
        return place.text == resource_id
    if not place.unknown and place.text is None:
        return False
    sources = target.stack.feeding(place)
    if view not in sources:
        # A text made from another resource, or a literal while the name that it should hold is not known.
        return False if sources else None
    return True if sum(source.type == view.type for source in sources) == 1 else None
