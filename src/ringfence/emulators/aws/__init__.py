"""The emulator of AWS."""

from ringfence.emulators.aws.emulator import Aws

__all__ = ["Aws"]
