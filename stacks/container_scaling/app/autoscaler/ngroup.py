"""One NGroup behind Azure Resource Manager: its count, the CPU of its groups, and what was done last.

The released management libraries do not know NGroups, and the one for metrics asks for a role on the subscription.
Hence plain requests, through the pipeline that those libraries are made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from azure.core import PipelineClient
from azure.core.pipeline.policies import (
    BearerTokenCredentialPolicy,
    RetryPolicy,
)
from azure.core.rest import HttpRequest

from autoscaler.decision import Action, Sample

__all__ = ["NGroup", "State", "manager"]

NGROUP_VERSION = "2025-09-01"
METRICS_VERSION = "2023-10-01"

LAST_ACTION = "autoscaler-last-action"
"""Tag that remembers the last action. It is written together with the count, so the two cannot come apart."""

BUSY = frozenset({"creating", "updating", "migrating", "deleting"})
"""Provisioning states in which the service is still at work on the last change."""


def manager(credential: Any, endpoint: str = "https://management.azure.com") -> Any:
    """Return a client of Azure Resource Manager that logs in with a credential and tries again when throttled."""
    login = BearerTokenCredentialPolicy(credential, f"{endpoint}/.default")
    return PipelineClient(endpoint, policies=[RetryPolicy(retry_total=3, timeout=20), login])


@dataclass(frozen=True)
class State:
    """What the NGroup says of itself."""

    count: int
    """Groups that are asked for; there may be fewer yet."""
    is_busy: bool
    last: Action | None
    tags: Mapping[str, str]
    elastic_profile: Mapping[str, Any]


@dataclass(frozen=True)
class NGroup:
    """An NGroup and the metric that its load is judged by."""

    client: Any
    """An `azure.core.PipelineClient`."""
    resource_id: str
    metric: str

    def state(self) -> State:
        """Return the NGroup as it is now.

        Raises:
            azure.core.exceptions.AzureError: it cannot be read.
        """
        body = self._send(HttpRequest("GET", self._url("", NGROUP_VERSION)))
        profile = body["properties"]["elasticProfile"]
        tags = body.get("tags") or {}
        return State(
            count=int(profile["desiredCount"]),
            is_busy=str(body["properties"].get("provisioningState", "")).casefold() in BUSY,
            last=_action(tags.get(LAST_ACTION)),
            tags=tags,
            elastic_profile=profile,
        )

    def samples(self, since: datetime, until: datetime) -> list[Sample]:
        """Return the groups' mean CPU of each minute; empty when there is none.

        Raises:
            azure.core.exceptions.AzureError: the metrics cannot be read.
        """
        query = {
            "metricnames": self.metric,
            "aggregation": "Average",
            "interval": "PT1M",
            "timespan": f"{_text(since)}/{_text(until)}",
        }
        url = self._url("/providers/Microsoft.Insights/metrics", METRICS_VERSION)
        body = self._send(HttpRequest("GET", url, params=query))
        return [
            Sample(datetime.fromisoformat(point["timeStamp"]), point.get("average"))
            for metric in body["value"]
            for series in metric.get("timeseries", ())
            for point in series["data"]
        ]

    def set(self, state: State, action: Action) -> None:
        """Ask for a count and remember that; the groups come and go after this returns.

        Only what changes is sent: naming the identity, the subnet or the load balancer again would take rights on them.

        Raises:
            azure.core.exceptions.AzureError: the change is refused.
        """
        body: dict[str, Any] = {"tags": {**state.tags, LAST_ACTION: f"{action.count} {_text(action.at)}"}}
        if action.count != state.count:
            body["properties"] = {"elasticProfile": {**state.elastic_profile, "desiredCount": action.count}}
        self._send(HttpRequest("PATCH", self._url("", NGROUP_VERSION), json=body))

    def _url(self, path: str, version: str) -> str:
        return f"{self.resource_id}{path}?api-version={version}"

    def _send(self, request: Any) -> Any:
        request.url = self.client.format_url(request.url)
        response = self.client.send_request(request)
        response.raise_for_status()
        return response.json() if response.text() else {}


def _text(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _action(tag: str | None) -> Action | None:
    """Return the action that a tag tells of, or None when there is no such tag or somebody wrote something else."""
    count, _, at = (tag or "").partition(" ")
    try:
        time = datetime.fromisoformat(at)
        return Action(time, int(count)) if time.tzinfo is not None else None
    except ValueError:
        return None
