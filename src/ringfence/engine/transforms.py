"""Transforms: the engine calls the program back before it registers a resource or answers an invoke."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pulumi.runtime.proto import callback_pb2, resource_pb2

from ringfence.wire import dependencies_of, output_value, with_output_values

__all__ = ["CallBack", "transform_invoke", "transform_registration"]

CallBack = Callable[[callback_pb2.Callback, bytes], Awaitable[bytes]]
"""Calls one callback of the program with a serialised request; gives the serialised response."""

_SAME_NAME = ("ignore_changes", "replace_on_changes", "additional_secret_outputs", "replace_with")
_REQUEST_FIELD = {
    "ignore_changes": "ignoreChanges",
    "replace_on_changes": "replaceOnChanges",
    "additional_secret_outputs": "additionalSecretOutputs",
    "replace_with": "replace_with",
}


async def transform_registration(
    request: resource_pb2.RegisterResourceRequest, callbacks: list[callback_pb2.Callback], call_back: CallBack
) -> resource_pb2.RegisterResourceRequest:
    """Return the request as the transforms leave it; they run in the order given.

    Like from the real engine, a transform gets unknowns and secrets as outputs, and in a resource's own transforms the
    properties carry dependencies. Unlike it, the dependencies of properties that a transform keeps are kept too: the
    Python SDK loses them on the way back, and rules need to know what feeds a property.
    """
    changed = resource_pb2.RegisterResourceRequest()
    changed.CopyFrom(request)
    for key, value in request.object.fields.items():
        changed.object.fields[key].CopyFrom(with_output_values(value))
    if request.transforms:
        for key, dependencies in request.propertyDependencies.items():
            if dependencies.urns and key in changed.object.fields:
                wrapped = output_value(changed.object.fields[key], dependencies.urns)
                changed.object.fields[key].CopyFrom(wrapped)
    for callback in callbacks:
        message = resource_pb2.TransformRequest(
            type=changed.type,
            name=changed.name,
            custom=changed.custom,
            parent=changed.parent,
            properties=changed.object,
            options=_options(changed),
        )
        response = resource_pb2.TransformResponse.FromString(await call_back(callback, message.SerializeToString()))
        if response.HasField("properties"):
            changed.object.CopyFrom(response.properties)
        if response.HasField("options"):
            _apply(response.options, changed)
    for key, value in changed.object.fields.items():
        found = dependencies_of(value) | set(request.propertyDependencies[key].urns)
        if found:
            changed.propertyDependencies[key].urns[:] = sorted(found)
            changed.dependencies.extend(sorted(found - set(changed.dependencies)))
    for key in [key for key in changed.propertyDependencies if key not in changed.object.fields]:
        del changed.propertyDependencies[key]
    return changed


def _options(request: resource_pb2.RegisterResourceRequest) -> resource_pb2.TransformResourceOptions:
    options = resource_pb2.TransformResourceOptions(
        depends_on=request.dependencies,
        version=request.version,
        aliases=request.aliases,
        provider=request.provider,
        providers=request.providers,
        plugin_download_url=request.pluginDownloadURL,
        deleted_with=request.deletedWith,
        hide_diff=request.hideDiffs,
    )
    for name in _SAME_NAME:
        getattr(options, name).extend(getattr(request, _REQUEST_FIELD[name]))
    setattr(options, "import", request.importId)
    if request.HasField("protect"):
        options.protect = request.protect
    if request.HasField("retainOnDelete"):
        options.retain_on_delete = request.retainOnDelete
    if request.deleteBeforeReplaceDefined:
        options.delete_before_replace = request.deleteBeforeReplace
    for name, field in (
        ("custom_timeouts", "customTimeouts"),
        ("hooks", "hooks"),
        ("replacement_trigger", "replacement_trigger"),
    ):
        if request.HasField(field):  # type: ignore[arg-type]
            getattr(options, name).CopyFrom(getattr(request, field))
    return options


def _apply(options: resource_pb2.TransformResourceOptions, request: resource_pb2.RegisterResourceRequest) -> None:
    request.dependencies[:] = options.depends_on
    request.version = options.version
    del request.aliases[:]
    request.aliases.extend(options.aliases)
    request.provider = options.provider
    request.providers.clear()
    request.providers.update(options.providers)
    request.pluginDownloadURL = options.plugin_download_url
    request.deletedWith = options.deleted_with
    request.hideDiffs[:] = options.hide_diff
    request.importId = getattr(options, "import")
    for name in _SAME_NAME:
        getattr(request, _REQUEST_FIELD[name])[:] = getattr(options, name)
    request.ClearField("protect")
    if options.HasField("protect"):
        request.protect = options.protect
    request.ClearField("retainOnDelete")
    if options.HasField("retain_on_delete"):
        request.retainOnDelete = options.retain_on_delete
    request.deleteBeforeReplaceDefined = options.HasField("delete_before_replace")
    request.deleteBeforeReplace = options.delete_before_replace
    for name, field in (
        ("custom_timeouts", "customTimeouts"),
        ("hooks", "hooks"),
        ("replacement_trigger", "replacement_trigger"),
    ):
        request.ClearField(field)  # type: ignore[arg-type]
        if options.HasField(name):  # type: ignore[arg-type]
            getattr(request, field).CopyFrom(getattr(options, name))


async def transform_invoke(
    request: resource_pb2.ResourceInvokeRequest, callbacks: list[callback_pb2.Callback], call_back: CallBack
) -> resource_pb2.ResourceInvokeRequest:
    """Return the invoke as the stack's invoke transforms leave it."""
    changed = resource_pb2.ResourceInvokeRequest()
    changed.CopyFrom(request)
    for callback in callbacks:
        message = resource_pb2.TransformInvokeRequest(
            token=changed.tok,
            args=changed.args,
            options=resource_pb2.TransformInvokeOptions(
                provider=changed.provider, version=changed.version, plugin_download_url=changed.pluginDownloadURL
            ),
        )
        response = resource_pb2.TransformInvokeResponse.FromString(
            await call_back(callback, message.SerializeToString())
        )
        if response.HasField("args"):
            changed.args.CopyFrom(response.args)
        if response.HasField("options"):
            changed.provider = response.options.provider
            changed.version = response.options.version
            changed.pluginDownloadURL = response.options.plugin_download_url
    return changed
