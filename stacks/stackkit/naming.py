"""Names and tags, made in one place so that every resource of a stack carries the same ones."""

from __future__ import annotations

from typing import NamedTuple

from .settings import Settings

__all__ = ["Names"]


class Names(NamedTuple):
    """Makes the logical names of a stack's resources.

    The provider appends random characters to a logical name where the service needs a unique one.
    """

    workload: str
    environment: str

    @classmethod
    def of(cls, settings: Settings) -> Names:
        """Return the names for these settings."""
        return cls(settings.workload, settings.environment)

    def __call__(self, part: str) -> str:
        """Return a name with hyphens, for example `inference-prod-results`."""
        return f"{self.workload}-{self.environment}-{part}"

    def compact(self, part: str) -> str:
        """Return a name of letters and digits alone, for services that take no hyphens."""
        return f"{self.workload}{self.environment}{part}".replace("-", "")
