"""Transactional batches: all operations in one logical partition, or none.

Source: "Transactional batch operations in Azure Cosmos DB" (Learn): at most 100 operations, of at most 2 MB.
"""

from __future__ import annotations

import json
from typing import Any

from ringfence.emulators.cosmos.charges import read_charge, write_charge
from ringfence.emulators.cosmos.container import LARGEST_ITEM, Container, Precondition, StoredItem
from ringfence.emulators.cosmos.errors import ServiceError, bad_request, too_large
from ringfence.emulators.cosmos.partition import PartitionKey

__all__ = ["execute"]

MOST_OPERATIONS = 100
FAILED_DEPENDENCY = 424


def execute(container: Container, key: PartitionKey, operations: Any) -> tuple[int, list[dict[str, Any]]]:
    """Carry out a batch; return its status, 200 or 207, and a result for each operation.

    Raises:
        ServiceError: the batch is none, or too large.
    """
    if not isinstance(operations, list) or not operations:
        raise bad_request("The batch request has no operations.")
    if len(operations) > MOST_OPERATIONS:
        raise bad_request(f"Batch request has more operations than what is supported: {MOST_OPERATIONS}.")
    if len(json.dumps(operations)) > LARGEST_ITEM:
        raise too_large()
    results: list[dict[str, Any]] = []
    try:
        with container.transaction():
            for operation in operations:
                results.append(_carried_out(container, key, operation))
    except ServiceError as error:
        return 207, _undone(len(operations), len(results), error)
    return 200, results


def _undone(count: int, failed: int, error: ServiceError) -> list[dict[str, Any]]:
    others = {"statusCode": FAILED_DEPENDENCY, "subStatusCode": 0, "requestCharge": 0}
    own = {"statusCode": error.status, "subStatusCode": error.substatus, "requestCharge": 1}
    return [dict(own if index == failed else others) for index in range(count)]


def _carried_out(container: Container, key: PartitionKey, operation: Any) -> dict[str, Any]:
    if not isinstance(operation, dict):
        raise bad_request("An operation of a batch is a JSON object.")
    kind, item_id, body = operation.get("operationType"), str(operation.get("id", "")), operation.get("resourceBody")
    condition = Precondition(operation.get("ifMatch"), operation.get("ifNoneMatch"))
    match kind:
        case "Create" | "Upsert":
            item, new = container.write("create" if kind == "Create" else "upsert", key, body, condition)
            return _result(201 if new else 200, item, write_charge(item.size))
        case "Replace":
            check_id(item_id, body)
            item, _ = container.write("replace", key, body, condition)
            return _result(200, item, write_charge(item.size))
        case "Patch":
            item = container.patch(key, item_id, body, condition)
            return _result(200, item, write_charge(item.size))
        case "Read":
            item = container.read(key, item_id)
            if condition.none_match == item.etag:
                return {"statusCode": 304, "requestCharge": 1, "eTag": item.etag}
            return _result(200, item, read_charge(item.size))
        case "Delete":
            size = container.read(key, item_id).size
            container.delete(key, item_id, condition)
            return {"statusCode": 204, "requestCharge": write_charge(size)}
    raise bad_request(f"'{kind}' is no operation of a batch.")


def check_id(item_id: str, body: Any) -> None:
    """Refuse to replace an item by one with another id.

    Raises:
        ServiceError: it has another.
    """
    if not isinstance(body, dict) or body.get("id") != item_id:
        raise bad_request("The id in the body is not the one of the item that is to be replaced.")


def _result(status: int, item: StoredItem, charge: float) -> dict[str, Any]:
    return {"statusCode": status, "requestCharge": charge, "eTag": item.etag, "resourceBody": item.body}
