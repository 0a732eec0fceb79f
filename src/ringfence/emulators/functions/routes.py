"""Which function an HTTP request is for.

Facts: Azure Functions, "HTTP trigger: customize the HTTP endpoint"; the routes are ASP.NET Core route templates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote

__all__ = ["match", "pattern"]

CONSTRAINTS: Mapping[str, Callable[[str], bool]] = {
    "int": lambda text: re.fullmatch(r"-?\d+", text) is not None,
    "long": lambda text: re.fullmatch(r"-?\d+", text) is not None,
    "guid": lambda text: re.fullmatch(r"\{?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}?", text) is not None,
    "bool": lambda text: text.lower() in ("true", "false"),
    "alpha": lambda text: re.fullmatch(r"[a-zA-Z]+", text) is not None,
}
SEGMENT = re.compile(r"\{(?P<all>\*{0,2})(?P<name>\w+)(?P<constraints>(:\w+)*)(?P<optional>\?)?\}")


def pattern(route: str) -> tuple[re.Pattern[str], dict[str, list[str]]]:
    """Return what matches a route's path, and the constraints of its parameters.

    Raises:
        ValueError: the route uses something that is not covered: constraints with arguments, or defaults.
    """
    parts, constraints = [], {}
    for segment in route.strip("/").split("/"):
        if "{" not in segment:
            parts.append(f"/{re.escape(segment)}")
            continue
        found = SEGMENT.fullmatch(segment)
        names = [name for name in (found["constraints"] if found else "").split(":") if name]
        if found is None or not set(names) <= set(CONSTRAINTS):
            raise ValueError(f"the route {route!r} has {segment!r}, which is not covered")
        constraints[found["name"]] = names
        part = f"(?P<{found['name']}>{'.*' if found['all'] else '[^/]+'})"
        parts.append(f"(?:/{part})?" if found["optional"] or found["all"] else f"/{part}")
    return re.compile("".join(parts), re.IGNORECASE), constraints


def match(route: str, path: str) -> dict[str, str] | None:
    """Return the route's parameters if the path is one of its own, else None."""
    expression, constraints = pattern(route)
    found = expression.fullmatch("/" + path.strip("/"))
    if found is None:
        return None
    parameters = {name: unquote(text) for name, text in found.groupdict().items() if text is not None}
    for name, text in parameters.items():
        if not all(CONSTRAINTS[constraint](text) for constraint in constraints[name]):
            return None
    return parameters
