"""Rehearse a Pulumi program without a cloud or a login, and judge it by a CrossGuard policy pack."""

__version__ = "0.1.0"

__all__ = ["__version__"]
