"""The function `aws:iam/getPolicyDocument:getPolicyDocument`, computed as the AWS provider computes it.

Source: the documentation and behaviour of the data source `aws_iam_policy_document`: lists of actions, resources
and identifiers are sets in descending order, one element stands for itself, conditions are grouped by test and
variable, statements with the same `Sid` override earlier ones, `&{` stands for `${`, and JSON is that of Go.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["PolicyDocumentError", "policy_document"]

_DEFAULT_VERSION = "2012-10-17"
_OLD_VERSION = "2008-10-17"
_SID = re.compile(r"[A-Za-z0-9]*\Z")
_GO_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_ORDER = (
    "Sid",
    "Effect",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Principal",
    "NotPrincipal",
    "Condition",
)


class PolicyDocumentError(ValueError):
    """Arguments that the provider refuses, with the property that is wrong."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


def policy_document(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return `id`, `json`, `minifiedJson` and the arguments, for arguments without unknowns and secrets.

    Raises `PolicyDocumentError` where the provider would refuse the arguments.
    """
    version = arguments.get("version") or _DEFAULT_VERSION
    if version not in (_DEFAULT_VERSION, _OLD_VERSION):
        raise PolicyDocumentError("version", f"expected {_OLD_VERSION} or {_DEFAULT_VERSION}")
    document: dict[str, Any] = {"Version": "", "Id": "", "Statement": []}
    seen: set[str] = set()
    for path, source in _documents(arguments, "sourcePolicyDocuments"):
        for statement in source["Statement"]:
            _require_new_sid(statement["Sid"], seen, path)
        _merge(document, source)
    _merge(document, _own_document(arguments, version))
    for _, override in _documents(arguments, "overridePolicyDocuments"):
        _merge(document, override)
    whole = {key: value for key, value in document.items() if value}
    if whole.get("Statement"):
        whole["Statement"] = [_written(statement) for statement in whole["Statement"]]
    text = _go_json(whole, indent=2)
    given = {key: value for key, value in arguments.items() if value is not None}
    return {
        **given,
        "version": version,
        "id": str(zlib.crc32(text.encode())),
        "json": text,
        "minifiedJson": _go_json(whole, indent=None),
    }


def _go_json(value: Any, indent: int | None) -> str:
    separators = (",", ": ") if indent else (",", ":")
    text = json.dumps(value, indent=indent, separators=separators, ensure_ascii=False)
    return re.sub("[<>&\u2028\u2029]", lambda match: _GO_ESCAPES[match[0]], text)


def _require_new_sid(sid: str, seen: set[str], path: str) -> None:
    if sid and sid in seen:
        raise PolicyDocumentError(path, f"duplicate Sid ({sid}): remove it or make it unique")
    seen.add(sid)


def _merge(document: dict[str, Any], newer: Mapping[str, Any]) -> None:
    """Add the statements of `newer`; those with the Sid of an earlier one take its place."""
    document["Id"] = newer["Id"] or document["Id"]
    document["Version"] = max(document["Version"], newer["Version"])
    statements = document["Statement"]
    places = {statement["Sid"]: index for index, statement in enumerate(statements) if statement["Sid"]}
    for statement in newer["Statement"]:
        place = places.get(statement["Sid"]) if statement["Sid"] else None
        if place is None:
            if statement["Sid"]:
                places[statement["Sid"]] = len(statements)
            statements.append(statement)
        else:
            statements[place] = statement


def _own_document(arguments: Mapping[str, Any], version: str) -> dict[str, Any]:
    statements = []
    seen: set[str] = set()
    for index, statement in enumerate(_list(arguments.get("statements"), "statements")):
        path = f"statements[{index}]"
        if not isinstance(statement, Mapping):
            raise PolicyDocumentError(path, "expected an object")
        read = _own_statement(statement, version, path)
        _require_new_sid(read["Sid"], seen, f"{path}.sid")
        statements.append(read)
    return {"Version": version, "Id": arguments.get("policyId") or "", "Statement": statements}


def _own_statement(statement: Mapping[str, Any], version: str, path: str) -> dict[str, Any]:
    sid = statement.get("sid") or ""
    if not isinstance(sid, str) or not _SID.match(sid):
        raise PolicyDocumentError(f"{path}.sid", "must only include alphanumeric characters")
    effect = statement.get("effect") or "Allow"
    if effect not in ("Allow", "Deny"):
        raise PolicyDocumentError(f"{path}.effect", "expected Allow or Deny")
    return {
        "Sid": sid,
        "Effect": effect,
        "Action": _set(statement.get("actions"), f"{path}.actions"),
        "NotAction": _set(statement.get("notActions"), f"{path}.notActions"),
        "Resource": _set(statement.get("resources"), f"{path}.resources", version),
        "NotResource": _set(statement.get("notResources"), f"{path}.notResources", version),
        "Principal": _own_principals(statement.get("principals"), f"{path}.principals", version),
        "NotPrincipal": _own_principals(statement.get("notPrincipals"), f"{path}.notPrincipals", version),
        "Condition": _own_conditions(statement.get("conditions"), f"{path}.conditions", version),
    }


def _list(value: Any, path: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise PolicyDocumentError(path, "expected a list")
    return list(value)


def _strings(value: Any, path: str, version: str | None = None) -> list[str]:
    items = _list(value, path)
    if not all(isinstance(item, str) for item in items):
        raise PolicyDocumentError(path, "expected a list of strings")
    if version is None:
        return items
    if version == _OLD_VERSION and any("&{" in item for item in items):
        raise PolicyDocumentError(path, f"found &{{, which is not supported in document version {_OLD_VERSION}")
    return [item.replace("&{", "${") for item in items]


def _set(value: Any, path: str, version: str | None = None) -> Any:
    """Return a set of strings as the provider writes it: descending, a single one as itself, None for none."""
    return _single(sorted(set(_strings(value, path, version)), reverse=True))


def _single(items: list[str]) -> Any:
    return items[0] if len(items) == 1 else items or None


def _own_principals(value: Any, path: str, version: str) -> Any:
    pairs = []
    for index, principal in enumerate(_list(value, path)):
        where = f"{path}[{index}]"
        if not isinstance(principal, Mapping) or not isinstance(principal.get("type"), str):
            raise PolicyDocumentError(where, "expected an object with type and identifiers")
        pairs.append((principal["type"], _set(principal.get("identifiers"), f"{where}.identifiers", version)))
    return _principals(pairs)


def _principals(pairs: list[tuple[str, Any]]) -> Any:
    """Return principals by type. Only `{"*": "*"}` is `"*"`: IAM roles tell it from `{"AWS": "*"}`."""
    if len(pairs) == 1 and pairs[0] in (("*", "*"), ("*", ["*"])):
        return "*"
    by_type: dict[str, Any] = {}
    for kind, identifiers in pairs:
        if kind not in by_type:
            by_type[kind] = identifiers if identifiers is not None else []
        else:
            by_type[kind] = [*_as_list(by_type[kind]), *_as_list(identifiers)]
    return dict(sorted(by_type.items())) or None


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def _own_conditions(value: Any, path: str, version: str) -> Any:
    triples = []
    for index, condition in enumerate(_list(value, path)):
        where = f"{path}[{index}]"
        if not isinstance(condition, Mapping) or not all(
            isinstance(condition.get(k), str) for k in ("test", "variable")
        ):
            raise PolicyDocumentError(where, "expected an object with test, variable and values")
        values = _strings(condition.get("values"), f"{where}.values", version)
        triples.append((condition["test"], condition["variable"], values))
    return _conditions(triples)


def _conditions(triples: Iterable[tuple[str, str, list[str]]]) -> Any:
    """Return conditions by test and variable, both in ascending order; the order of values is kept."""
    grouped: dict[str, dict[str, list[str]]] = {}
    for test, variable, values in triples:
        grouped.setdefault(test, {}).setdefault(variable, []).extend(values)
    return {
        test: {variable: values[0] if len(values) == 1 else values for variable, values in sorted(variables.items())}
        for test, variables in sorted(grouped.items())
    } or None


def _documents(arguments: Mapping[str, Any], name: str) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield the path and the content of the JSON documents of an argument."""
    for index, text in enumerate(_list(arguments.get(name), name)):
        if text is None:
            continue
        path = f"{name}[{index}]"
        try:
            document = json.loads(text)
        except (TypeError, ValueError) as error:
            raise PolicyDocumentError(path, "is not JSON") from error
        if not isinstance(document, Mapping):
            raise PolicyDocumentError(path, "is not a policy document")
        statements = document.get("Statement")
        if not all(isinstance(statement, Mapping) for statement in _as_list(statements)):
            raise PolicyDocumentError(path, "has a statement that is no object")
        read = [_foreign_statement(statement, path) for statement in _as_list(statements)]
        version, identity = document.get("Version") or "", document.get("Id") or ""
        if not isinstance(version, str) or not isinstance(identity, str):
            raise PolicyDocumentError(path, "has a Version or Id that is no string")
        yield path, {"Version": version, "Id": identity, "Statement": read}


def _foreign_statement(statement: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return a statement of another document in the provider's form."""
    read = {key: statement.get(key) for key in _ORDER}
    read["Sid"] = statement.get("Sid") or ""
    if not isinstance(read["Sid"], str):
        raise PolicyDocumentError(path, "has a Sid that is no string")
    for key in ("Principal", "NotPrincipal"):
        principals = statement.get(key)
        if isinstance(principals, str):
            read[key] = _principals([("*", ["*"])])
        elif isinstance(principals, Mapping):
            read[key] = _principals([(kind, _descending(value)) for kind, value in principals.items()])
    conditions = statement.get("Condition")
    if isinstance(conditions, Mapping):
        read["Condition"] = _conditions(
            (test, variable, [_condition_text(value) for value in _as_list(values)])
            for test, variables in conditions.items()
            if isinstance(variables, Mapping)
            for variable, values in variables.items()
        )
    return read


def _descending(value: Any) -> Any:
    return sorted((str(item) for item in value), reverse=True) if isinstance(value, list) else value


def _condition_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _written(statement: Mapping[str, Any]) -> dict[str, Any]:
    """Return a statement as it is written: in the provider's order, without what is empty."""
    return {
        key: statement[key] for key in _ORDER if statement[key] is not None and (key, statement[key]) != ("Sid", "")
    }
