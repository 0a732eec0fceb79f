"""What stands for the Azure Functions host: the app's own decorators, driven in this process."""

from ringfence.emulators.functions.host import FunctionsHost, Run

__all__ = ["FunctionsHost", "Run"]
