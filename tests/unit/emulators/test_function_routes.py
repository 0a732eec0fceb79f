"""Routes of HTTP triggers."""

from __future__ import annotations

import pytest

from ringfence.emulators.functions.routes import match, pattern

GUID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"


@pytest.mark.parametrize(
    ("route", "path", "expected"),
    [
        ("api/orders", "/api/orders", {}),
        ("api/orders", "/API/Orders/", {}),
        ("api/orders", "/api/orders/7", None),
        ("api/orders/{id}", "/api/orders/7", {"id": "7"}),
        ("api/orders/{id}", "/api/orders", None),
        ("api/orders/{id}", "/api/orders/a%2Fb%20c", {"id": "a/b c"}),
        ("api/{tenant}/sessions/{session}", "/api/t/sessions/s", {"tenant": "t", "session": "s"}),
        ("api/orders/{id:int}", "/api/orders/7", {"id": "7"}),
        ("api/orders/{id:int}", "/api/orders/seven", None),
        ("api/orders/{id:guid}", f"/api/orders/{GUID}", {"id": GUID}),
        ("api/orders/{id:alpha}", "/api/orders/a1", None),
        ("api/orders/{id:bool}", "/api/orders/True", {"id": "True"}),
        ("api/orders/{id?}", "/api/orders", {}),
        ("api/orders/{id?}", "/api/orders/7", {"id": "7"}),
        ("api/files/{*rest}", "/api/files/a/b/c", {"rest": "a/b/c"}),
        ("api/files/{**rest}", "/api/files", {}),
        ("api/a.b", "/api/axb", None),
    ],
)
def test_match(route: str, path: str, expected: dict[str, str] | None) -> None:
    assert match(route, path) == expected


@pytest.mark.parametrize("route", ["a/{id:range(1,2)}", "a/{id=7}", "a/x{id}", "a/{id:unheard}"])
def test_what_is_not_covered_is_said(route: str) -> None:
    with pytest.raises(ValueError, match="which is not covered"):
        pattern(route)
