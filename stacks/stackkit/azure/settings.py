"""The settings that every stack on Azure has."""

from typing import Annotated

from pydantic import Field

from ..settings import Email, Settings

__all__ = ["AzureSettings", "Location"]

Location = Annotated[str, Field(min_length=5, max_length=30, pattern=r"^[a-z][a-z0-9]*$")]
"""An Azure region in its short form, for example `westeurope`."""


class AzureSettings(Settings):
    """Where the stack is, whether it has a network of its own, and what becomes of its logs."""

    location: Annotated[
        Location,
        Field(alias="azure-native:location", description="Azure region of all resources, in its short form."),
    ]
    private_network: Annotated[
        bool,
        Field(description="Whether data is reached over private endpoints alone; public access is then refused."),
    ] = False
    alert_email: Annotated[Email, Field(description="Address that alerts are sent to.")]
    log_days: Annotated[int, Field(ge=30, le=730, description="Days that logs are kept.")] = 30
    log_daily_gb: Annotated[
        int,
        Field(ge=1, le=100, description="Most GB of logs a day; what comes after is dropped."),
    ] = 1
