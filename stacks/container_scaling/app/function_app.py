"""The autoscaler's function: a timer that runs one instance at a time, once a minute."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import cache

import azure.functions as func
from autoscaler.ngroup import NGroup, manager
from autoscaler.scaler import rules_from, run
from azure.identity import DefaultAzureCredential

app = func.FunctionApp()


@cache
def _group() -> NGroup:
    """Return the NGroup, made once for all runs of this instance. It is reached as the app's identity."""
    endpoint = os.environ.get("RESOURCE_MANAGER_ENDPOINT", "https://management.azure.com")
    return NGroup(manager(DefaultAzureCredential(), endpoint), os.environ["NGROUP_ID"], os.environ["METRIC"])


# A run that was missed is not made up for: the next one knows more.
@app.timer_trigger(  # type: ignore[untyped-decorator,unused-ignore]
    arg_name="timer", schedule="0 * * * * *", run_on_startup=False, use_monitor=False
)
def scale(timer: func.TimerRequest) -> None:
    """Bring the count of the NGroup to what its load asks for."""
    run(_group(), rules_from(os.environ), datetime.now(UTC))
