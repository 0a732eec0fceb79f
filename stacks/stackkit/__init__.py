"""What the reference stacks share: settings, names and tags.

The package depends on pulumi and pydantic alone; `stackkit.azure` needs pulumi-azure-native too. A stack's folder and
this folder, side by side, are a complete Pulumi project.
"""

from .naming import Names
from .settings import Email, Environment, Settings, SettingsError, load_settings

__all__ = ["Email", "Environment", "Names", "Settings", "SettingsError", "load_settings"]
