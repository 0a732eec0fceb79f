"""Typed settings from Pulumi config, with errors that say what is allowed."""

import json
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import pulumi
from pulumi.runtime import config as pulumi_config
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

__all__ = ["Email", "Environment", "Settings", "SettingsError", "load_settings"]

Environment = Literal["dev", "prod"]

Email = Annotated[str, Field(max_length=254, pattern=r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")]


class SettingsError(pulumi.RunError):
    """The stack's settings are wrong. The CLI prints the message without a traceback."""


class Settings(BaseModel):
    """What every stack is told.

    A field's config key is its name in camelCase in the project's namespace. A field that the cloud provider reads
    too has the provider's own key as its alias, for example `aws:region`.
    """

    # Of the models that build upon each other only the one that is used is worth building.
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, defer_build=True)

    environment: Annotated[Environment, Field(description="What the stack is for; prod is held to stricter rules.")]
    workload: Annotated[
        str,
        Field(
            min_length=3,
            max_length=20,
            pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$",
            description="Short name that all resource names begin with.",
        ),
    ]
    owner: Annotated[Email, Field(description="Address of the team that answers for the stack; becomes a tag.")]
    cost_centre: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9-]{2,20}$", description="Where the stack's cost is booked; becomes a tag."),
    ]

    @property
    def is_prod(self) -> bool:
        """Return whether real users depend on the stack."""
        return self.environment == "prod"

    @property
    def tags(self) -> dict[str, str]:
        """Return the tags of every resource that takes tags."""
        return {
            "environment": self.environment,
            "workload": self.workload,
            "owner": self.owner,
            "cost-centre": self.cost_centre,
            "managed-by": "pulumi",
        }


SettingsType = TypeVar("SettingsType", bound=Settings)


def load_settings(model: type[SettingsType]) -> SettingsType:
    """Return the settings of the stack that runs.

    Raises:
        SettingsError: a value is missing, of the wrong type, out of bounds or contradicts another one, or a key is
            not known. The message has one line for each, with the key, the value and what is allowed.
    """
    fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    values = {key: _read(key, annotation) for key, annotation in fields.items() if _raw(key) is not None}
    unknown = [f"{key} is not a setting of this stack" for key in _own_keys() if _short(key) not in fields]
    try:
        settings = model.model_validate(values)
    except ValidationError as error:
        schemas = model.model_json_schema()["properties"]
        wrong = [_explain(detail, schemas) for detail in error.errors()]
        raise SettingsError(_message(wrong + unknown)) from None
    if unknown:
        raise SettingsError(_message(unknown))
    return settings


def _full(key: str) -> str:
    return key if ":" in key else f"{pulumi.get_project()}:{key}"


def _short(key: str) -> str:
    return key.removeprefix(f"{pulumi.get_project()}:")


def _own_keys() -> list[str]:
    """Return every key that is set in the project's namespace.

    `pulumi.Config` can be asked for a key and cannot list its keys, hence the runtime module.
    """
    keys = {*pulumi_config.get_config_env(), *pulumi_config.CONFIG.get()}
    return sorted(key for key in keys if key.startswith(f"{pulumi.get_project()}:"))


def _raw(key: str) -> Any:
    return pulumi_config.get_config(_full(key))


def _read(key: str, annotation: Any) -> Any:
    """Return a value as the model wants it: Pulumi hands everything over as text, and all but text is JSON."""
    raw = _raw(key)
    if _is_text(annotation) or not isinstance(raw, str):
        return raw
    try:
        return json.loads(raw)
    except json.JSONDecodeError:
        return raw


def _is_text(annotation: Any) -> bool:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _is_text(arguments[0])
    if origin is Literal:
        return all(isinstance(item, str) for item in arguments)
    if origin in (Union, UnionType):
        return any(_is_text(item) for item in arguments)
    return annotation is str


def _explain(error: Any, fields: Mapping[str, Any]) -> str:
    if not error["loc"]:  # a rule over several fields; its message names them
        return str(error["ctx"]["error"])
    key = str(error["loc"][0])
    schema = fields[key]
    allowed = f"{_allowed(schema)}. {schema['description']}"
    if error["type"] == "missing":
        return f"{_full(key)} is missing; allowed is {allowed}"
    return f"{_full(key)} is {_shown(key)}; allowed is {allowed}"


def _shown(key: str) -> str:
    return "[secret]" if pulumi_config.is_config_secret(_full(key)) else repr(_raw(key))


def _allowed(schema: Mapping[str, Any]) -> str:
    """Return what a JSON schema allows, in words."""
    if "anyOf" in schema:
        return " or ".join(_allowed(option) for option in schema["anyOf"] if option.get("type") != "null")
    if "enum" in schema:
        return "one of " + ", ".join(str(item) for item in schema["enum"])
    match schema["type"]:
        case "boolean":
            return "true or false"
        case "integer":
            step = f" in steps of {schema['multipleOf']}" if "multipleOf" in schema else ""
            return f"a whole number from {schema['minimum']} to {schema['maximum']}{step}"
        case "array":
            low, high = schema.get("minItems", 0), schema["maxItems"]
            return f"a list of {low} to {high} items, each {_allowed(schema['items'])}"
        case _:
            return f"text that matches {schema['pattern']}{_length(schema)}"


def _length(schema: Mapping[str, Any]) -> str:
    if "maxLength" not in schema:
        return ""
    return f", {schema.get('minLength', 1)} to {schema['maxLength']} characters"


def _message(problems: list[str]) -> str:
    lines = "".join(f"\n  - {problem}" for problem in problems)
    return f"the settings of stack '{pulumi.get_stack()}' of project '{pulumi.get_project()}' are wrong:{lines}"
