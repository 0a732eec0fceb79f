"""The emulated provider: makes what a program declares on emulators."""

from ringfence.providers.emulated.interface import CannotCreateError, CannotDeleteError, EmulatedService, Gap, Made
from ringfence.providers.emulated.provider import EmulatedProvider, ResourceReport

__all__ = [
    "CannotCreateError",
    "CannotDeleteError",
    "EmulatedProvider",
    "EmulatedService",
    "Gap",
    "Made",
    "ResourceReport",
]
