"""What the engine reads off a registration request: its source lines and its resource options."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlparse

from pulumi.runtime.proto import resource_pb2, source_pb2

from ringfence.deployment import Options, Resource, SourceLine
from ringfence.engine.urn import make_urn
from ringfence.wire import decode_value

__all__ = ["inherit", "options_of", "sources_of"]

_HOOKS = (
    "before_create",
    "after_create",
    "before_update",
    "after_update",
    "before_delete",
    "after_delete",
    "on_error",
)


def sources_of(
    request: resource_pb2.RegisterResourceRequest | resource_pb2.ReadResourceRequest,
) -> tuple[SourceLine | None, tuple[SourceLine, ...]]:
    """Return the user's line that made the resource, and the chain of its callers from there outwards."""
    chain = tuple(line for frame in request.stackTrace.frames if (line := _source(frame.pc)) is not None)
    if chain:
        return chain[0], chain
    return (_source(request.sourcePosition) if request.HasField("sourcePosition") else None), ()


def _source(position: source_pb2.SourcePosition) -> SourceLine | None:
    if not position.uri or not position.line:
        return None
    return SourceLine(_path(position.uri), position.line, position.column or None)


@lru_cache(maxsize=8192)
def _path(uri: str) -> str:
    return unquote(urlparse(uri).path) if uri.startswith("file:") else uri


def inherit(request: resource_pb2.RegisterResourceRequest, parent: Resource) -> None:
    """Take over the options that the engine hands from a parent to its children."""
    if not request.deletedWith and parent.options.deleted_with:
        request.deletedWith = parent.options.deleted_with
    if not request.HasField("protect") and parent.options.protect is not None:
        request.protect = parent.options.protect
    if not request.HasField("retainOnDelete") and parent.options.retain_on_delete is not None:
        request.retainOnDelete = parent.options.retain_on_delete


def options_of(request: resource_pb2.RegisterResourceRequest, stack: str, project: str) -> Options:
    """Return the resource options of a registration."""
    timeouts = request.customTimeouts if request.HasField("customTimeouts") else None
    hooks = request.hooks if request.HasField("hooks") else None
    trigger = decode_value(request.replacement_trigger) if request.HasField("replacement_trigger") else None
    # Some SDKs set the value without saying that it is defined.
    before_replace = request.deleteBeforeReplaceDefined or request.deleteBeforeReplace
    return Options(
        protect=request.protect if request.HasField("protect") else None,
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        additional_secret_outputs=tuple(request.additionalSecretOutputs),
        hide_diffs=tuple(request.hideDiffs),
        delete_before_replace=request.deleteBeforeReplace if before_replace else None,
        retain_on_delete=request.retainOnDelete if request.HasField("retainOnDelete") else None,
        custom_timeouts={
            name: getattr(timeouts, name)
            for name in ("create", "update", "delete", "read")
            if timeouts is not None and getattr(timeouts, name)
        },
        aliases=tuple(_alias(alias, request, stack, project) for alias in request.aliases) + tuple(request.aliasURNs),
        deleted_with=request.deletedWith or None,
        replace_with=tuple(request.replace_with),
        replacement_trigger=trigger,
        import_id=request.importId or None,
        version=request.version,
        plugin_download_url=request.pluginDownloadURL,
        providers={key: request.providers[key].rpartition("::")[0] for key in sorted(request.providers)},
        hooks={name: tuple(getattr(hooks, name)) for name in _HOOKS if hooks is not None and getattr(hooks, name)},
        env_var_mappings={key: request.envVarMappings[key] for key in sorted(request.envVarMappings)},
    )


def _alias(alias: Any, request: resource_pb2.RegisterResourceRequest, stack: str, project: str) -> str:
    if alias.WhichOneof("alias") == "urn":
        return str(alias.urn)
    spec = alias.spec
    parent = "" if spec.noParent else spec.parentUrn or request.parent
    return make_urn(
        spec.stack or stack, spec.project or project, spec.type or request.type, spec.name or request.name, parent
    )
