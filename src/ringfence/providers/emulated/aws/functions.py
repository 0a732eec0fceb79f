"""Lambda functions, what calls them and who may."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ringfence.deployment import Archive, Asset
from ringfence.emulators.interface import EmulatorError
from ringfence.providers.emulated.aws.calls import COMMON, Maker, Making, camel, pascal, some
from ringfence.providers.emulated.interface import Made, gaps

__all__ = ["MAKERS"]

ACTIVE_SECONDS = 30
SKIPPED = {"__pycache__", ".git"}
SETTINGS = (
    "architectures",
    "deadLetterConfig",
    "description",
    "ephemeralStorage",
    "fileSystemConfigs",
    "handler",
    "kmsKeyArn",
    "layers",
    "loggingConfig",
    "memorySize",
    "packageType",
    "role",
    "runtime",
    "timeout",
    "tracingConfig",
)
NAMES = {"kmsKeyArn": "KMSKeyArn"}
CODE = ("code", "sourceCodeHash", "s3Bucket", "s3Key", "s3ObjectVersion", "imageUri", "publish")


def _function(making: Making) -> Made:
    client, values = making.client("lambda"), making.values
    declared = {key: values[key] for key in SETTINGS if key in values}
    environment = values.get("environment", {}).get("variables")
    client.create_function(
        FunctionName=making.name,
        Code=_code(making.inputs, values),
        Publish=bool(values.get("publish")),
        **pascal(declared, **NAMES),
        **some(
            Environment={"Variables": environment} if environment else None,
            Tags=values.get("tags") or None,
        ),
    )
    _wait(client, making.name)
    if (most := values.get("reservedConcurrentExecutions", -1)) >= 0:
        client.put_function_concurrency(FunctionName=making.name, ReservedConcurrentExecutions=most)
    kept = client.get_function_configuration(FunctionName=making.name)
    answered = camel(kept, **NAMES)
    concurrency = client.get_function_concurrency(FunctionName=making.name)
    found: dict[str, Any] = {}
    for key, value in declared.items():
        if isinstance(value, Mapping):
            found |= {f"{key}.{name}": (answered.get(key) or {}).get(name) for name in value}
        else:
            found[key] = answered.get(key)
    found["environment.variables"] = kept.get("Environment", {}).get("Variables", {})
    found["reservedConcurrentExecutions"] = concurrency.get("ReservedConcurrentExecutions", -1)
    found["tags"] = client.list_tags(Resource=kept["FunctionArn"]).get("Tags", {})
    arn = kept["FunctionArn"]
    outputs = {"arn": arn, "version": kept.get("Version", "$LATEST"), "codeSha256": kept.get("CodeSha256", "")}
    return Made(outputs, making.name, gaps(making.inputs, names=(*COMMON, *CODE), found=found))


def _wait(client: Any, name: str) -> None:
    deadline = time.monotonic() + ACTIVE_SECONDS
    while (kept := client.get_function_configuration(FunctionName=name)).get("State", "Active") == "Pending":
        if time.monotonic() > deadline:
            raise EmulatorError(f"the function is not active after {ACTIVE_SECONDS} s")
        time.sleep(0.05)
    if kept.get("State", "Active") != "Active":
        raise EmulatorError(
            f"the function is {kept['State']}: {kept.get('StateReason', 'the emulator does not say why')}"
        )


def _code(inputs: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the code comes from.

    Raises:
        EmulatorError: it cannot be read.
    """
    if "imageUri" in values:
        return {"ImageUri": values["imageUri"]}
    if "s3Bucket" in values:
        place = some(S3ObjectVersion=values.get("s3ObjectVersion"))
        return {"S3Bucket": values["s3Bucket"], "S3Key": values["s3Key"], **place}
    archive = values.get("code")
    try:
        return {"ZipFile": _zipped(archive)}
    except OSError as error:
        raise EmulatorError(f"its code cannot be read: {error.filename}: {error.strerror}") from error


def _zipped(archive: Any) -> bytes:
    """Return an archive as the bytes of a ZIP file, the same for the same files."""
    if not isinstance(archive, Archive) or archive.kind == "remote":
        raise EmulatorError("its code must be an archive of files of this machine")
    if archive.kind == "file" and Path(archive.content).is_file():
        return Path(archive.content).read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in sorted(_files(archive).items()):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o644 << 16
            target.writestr(entry, content)
    return buffer.getvalue()


def _files(archive: Archive, prefix: str = "") -> dict[str, bytes]:
    if archive.kind == "file":
        root = Path(archive.content)
        found = [path for path in root.rglob("*") if path.is_file() and not SKIPPED & {*path.relative_to(root).parts}]
        if not found:
            raise EmulatorError(f"its code cannot be read: {root}: there are no files")
        return {f"{prefix}{path.relative_to(root).as_posix()}": path.read_bytes() for path in found}
    files: dict[str, bytes] = {}
    for name, item in archive.content.items():
        if isinstance(item, Archive):
            files |= _files(item, f"{prefix}{name}/")
        elif isinstance(item, Asset) and item.kind == "file":
            files[f"{prefix}{name}"] = Path(item.content).read_bytes()
        elif isinstance(item, Asset) and item.kind == "text":
            files[f"{prefix}{name}"] = item.content.encode()
        else:
            raise EmulatorError(f"its code must be files of this machine: {prefix}{name} is not")
    return files


MAPPING = (
    "batchSize",
    "bisectBatchOnFunctionError",
    "destinationConfig",
    "enabled",
    "filterCriteria",
    "functionResponseTypes",
    "maximumBatchingWindowInSeconds",
    "maximumRecordAgeInSeconds",
    "maximumRetryAttempts",
    "parallelizationFactor",
    "scalingConfig",
    "startingPosition",
)


def _event_source_mapping(making: Making) -> Made:
    client, values = making.client("lambda"), making.values
    declared = {key: values[key] for key in MAPPING if key in values}
    made = client.create_event_source_mapping(
        FunctionName=values["functionName"],
        **pascal(declared),
        **some(EventSourceArn=values.get("eventSourceArn"), Tags=values.get("tags") or None),
    )
    kept = client.get_event_source_mapping(UUID=made["UUID"])
    answered = camel(kept)
    found: dict[str, Any] = {key: answered.get(key) for key in declared}
    found["eventSourceArn"] = kept.get("EventSourceArn")
    if "enabled" in declared:
        found["enabled"] = kept.get("State") in ("Enabled", "Enabling", "Creating", "Updating")
    arn = kept.get("EventSourceMappingArn")
    if "tags" in values:
        found["tags"] = client.list_tags(Resource=arn).get("Tags", {}) if arn else None
    outputs = some(uuid=made["UUID"], arn=arn, functionArn=kept["FunctionArn"], state=kept.get("State"))
    return Made(outputs, made["UUID"], gaps(making.inputs, names=(*COMMON, "functionName"), found=found))


PERMISSION = (
    "action",
    "eventSourceToken",
    "functionUrlAuthType",
    "principal",
    "principalOrgId",
    "sourceAccount",
    "sourceArn",
)


def _permission(making: Making) -> Made:
    client, values = making.client("lambda"), making.values
    identity = str(values.get("statementId") or making.offline.outputs.get("statementId"))
    function = values["function"]
    declared = {key: values[key] for key in PERMISSION if key in values}
    client.add_permission(
        FunctionName=function,
        StatementId=identity,
        **pascal(declared, principalOrgId="PrincipalOrgID"),
        **some(Qualifier=values.get("qualifier")),
    )
    policy = client.get_policy(FunctionName=function, **some(Qualifier=values.get("qualifier")))["Policy"]
    if f'"{identity}"' not in policy:
        raise EmulatorError("the permission was accepted, and is not in the function's policy")
    names = (*COMMON, "function", "statementId", "statementIdPrefix", "qualifier")
    return Made(id=identity, gaps=gaps(making.inputs, names=names, reasons=dict.fromkeys(declared, "")))


MAKERS: Mapping[str, Maker] = {
    "lambda/eventSourceMapping:EventSourceMapping": _event_source_mapping,
    "lambda/function:Function": _function,
    "lambda/permission:Permission": _permission,
}
