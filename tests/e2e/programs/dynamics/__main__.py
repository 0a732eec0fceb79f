"""A dynamic provider: its check runs in a preview."""

from typing import Any

import pulumi
from pulumi.dynamic import CheckResult, CreateResult, Resource, ResourceProvider


class NumberProvider(ResourceProvider):
    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        return CheckResult({**news, "size": news.get("size", 7)}, [])

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult("number-1", {**props, "value": 42})


class Number(Resource):
    size: pulumi.Output[int]
    value: pulumi.Output[int]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None, **props: Any) -> None:
        super().__init__(NumberProvider(), name, {"value": None, **props}, opts)


first = Number("first", label="one")
Number("second", label=first.value.apply(str), hidden=pulumi.Output.secret("s"))
