"""The function app that serves the API."""

from __future__ import annotations

import pulumi
from artefacts import Artefacts
from config import StatefulFunctionsSettings
from pulumi_azure_native import managedidentity, resources
from sessions import Sessions
from stackkit import Names
from stackkit.azure import FlexFunctions, FlexScale, Observability, PrivateNetwork

__all__ = ["api"]


def api(
    names: Names,
    settings: StatefulFunctionsSettings,
    group: resources.ResourceGroup,
    identity: managedidentity.UserAssignedIdentity,
    observability: Observability,
    *,
    sessions: Sessions,
    artefacts: Artefacts,
    private_network: PrivateNetwork | None,
) -> FlexFunctions:
    """Return the function app, which finds the database, the container and its limits in its environment."""
    observability.alert_on_failed_requests(5, "The API fails: more than five requests in five minutes.")
    environment: dict[str, pulumi.Input[str]] = {
        "COSMOS_ENDPOINT": sessions.account.document_endpoint,
        "COSMOS_DATABASE": sessions.database.name,
        "COSMOS_CONTAINER": sessions.container.name,
        "ARTEFACTS_URL": artefacts.url,
        "SESSION_TTL_SECONDS": str(settings.session_ttl_seconds),
        "INLINE_STATE_BYTES": str(settings.inline_state_kb * 1024),
        "MAX_STATE_BYTES": str(settings.max_state_kb * 1024),
        # A call waits for the database on a thread of its own; the worker has 32 at most.
        "PYTHON_THREADPOOL_THREAD_COUNT": str(min(settings.http_concurrency, 32)),
    }
    return FlexFunctions(
        names,
        "api",
        settings,
        group,
        identity,
        observability,
        scale=FlexScale(
            python_version=settings.python_version,
            instance_memory_mb=settings.instance_memory_mb,
            maximum_instances=settings.maximum_instances,
            always_ready={"http": settings.always_ready_instances},
            http_concurrency=settings.http_concurrency,
            zone_redundant=settings.zone_redundant,
        ),
        environment=environment,
        allowed_origins=settings.allowed_origins,
        soft_delete_days=settings.soft_delete_days,
        private_network=private_network,
    )
