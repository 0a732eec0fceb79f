"""A provider SDK as the generator writes them, small enough to read: tests put it beside their program."""

from __future__ import annotations

import textwrap
from pathlib import Path

FILES = {
    "pulumi-plugin.json": '{"resource": true, "name": "small"}',
    "__init__.py": "from . import compute, network\nfrom .get_zone import *\n",
    "get_zone.py": """
        import pulumi

        __all__ = ["ZoneResult", "get_zone"]


        @pulumi.output_type
        class ZoneResult:
            def __init__(__self__, letter=None):
                pulumi.set(__self__, "letter", letter)

            @property
            @pulumi.getter
            def letter(self) -> str:
                return pulumi.get(self, "letter")


        def get_zone(name=None, opts=None):
            value = pulumi.runtime.invoke("small:index:getZone", {"name": name}, opts, typ=ZoneResult).value
            return ZoneResult(letter=pulumi.get(value, "letter"))
    """,
    "compute/__init__.py": "from ._enums import *\nfrom ._inputs import *\nfrom .machine import *\n",
    "compute/_enums.py": """
        from enum import Enum

        __all__ = ["Size"]


        class Size(str, Enum):
            LARGE = "large"
            EXTRA_LARGE = "extra"
    """,
    "compute/_inputs.py": """
        import pulumi

        __all__ = ["DiskArgs", "FancyDiskArgs", "SpotPriceArgs"]


        @pulumi.input_type
        class DiskArgs:
            def __init__(__self__, *, gigabytes: pulumi.Input[int], label: pulumi.Input[str] = None):
                pulumi.set(__self__, "gigabytes", gigabytes)
                if label is not None:
                    pulumi.set(__self__, "label", label)

            @property
            @pulumi.getter
            def gigabytes(self) -> pulumi.Input[int]:
                return pulumi.get(self, "gigabytes")

            @property
            @pulumi.getter
            def label(self) -> pulumi.Input[str]:
                return pulumi.get(self, "label")


        @pulumi.input_type
        class FancyDiskArgs:
            def __init__(__self__, *, colour: pulumi.Input[str], stripes: pulumi.Input[int]):
                pulumi.set(__self__, "colour", colour)
                pulumi.set(__self__, "stripes", stripes)

            @property
            @pulumi.getter
            def colour(self) -> pulumi.Input[str]:
                return pulumi.get(self, "colour")

            @property
            @pulumi.getter
            def stripes(self) -> pulumi.Input[int]:
                return pulumi.get(self, "stripes")


        @pulumi.input_type
        class SpotPriceArgs:
            def __init__(__self__, *, cents: pulumi.Input[int]):
                pulumi.set(__self__, "cents", cents)

            @property
            @pulumi.getter
            def cents(self) -> pulumi.Input[int]:
                return pulumi.get(self, "cents")
    """,
    "compute/machine.py": """
        import pulumi

        __all__ = ["Machine"]


        class Machine(pulumi.CustomResource):
            def __init__(__self__, resource_name, *args, **kwargs):
                __self__._internal_init(resource_name, *args, **kwargs)

            def _internal_init(
                __self__, resource_name, opts=None, size=None, disk=None, code=None, subnet_name=None, __props__=None
            ):
                if subnet_name is None:
                    raise TypeError("Missing required property 'subnet_name'")
                inputs = {"size": size, "disk": disk, "code": code, "subnetName": subnet_name, "address": None}
                super(Machine, __self__).__init__("small:compute:Machine", resource_name, inputs, opts)

            @property
            @pulumi.getter
            def address(self) -> pulumi.Output[str]:
                return pulumi.get(self, "address")
    """,
    "network/__init__.py": "from .subnet import *\n",
    "network/subnet.py": """
        import pulumi

        __all__ = ["Subnet"]


        class Subnet(pulumi.CustomResource):
            def __init__(__self__, resource_name, *args, **kwargs):
                __self__._internal_init(resource_name, *args, **kwargs)

            def _internal_init(__self__, resource_name, opts=None, name=None, __props__=None):
                super(Subnet, __self__).__init__("small:network:Subnet", resource_name, {"name": name}, opts)

            @property
            @pulumi.getter
            def name(self) -> pulumi.Output[str]:
                return pulumi.get(self, "name")
    """,
}


def write_small_sdk(folder: Path) -> None:
    """Write the package `pulumi_small` into a folder."""
    for name, text in FILES.items():
        path = folder / "pulumi_small" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())
