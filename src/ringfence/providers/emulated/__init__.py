"""The emulated provider: makes what a program declares on emulators."""

from ringfence.providers.emulated.interface import CannotCreateError, EmulatedService, Gap, Made
from ringfence.providers.emulated.provider import EmulatedProvider, ResourceReport

__all__ = ["CannotCreateError", "EmulatedProvider", "EmulatedService", "Gap", "Made", "ResourceReport"]
