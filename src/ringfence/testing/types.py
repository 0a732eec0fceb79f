"""Constrained types for the config of a stack: `workload_store: StorageAccountName`, `subnet: Annotated[str, Cidr()]`.

Each is what a service takes, said once. pydantic validates by it and writes it into the JSON schema; Hypothesis, where
it is loaded, draws from it. Neither needs the other: a program in production that uses these types does not import
Hypothesis.
"""

from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, GroupedMetadata, Le, MultipleOf
from pydantic import AfterValidator, StringConstraints, WithJsonSchema

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = [
    "Arn",
    "AwsRegion",
    "AzureRegion",
    "BlobContainerName",
    "Cidr",
    "ContainerGroupName",
    "ContainerRegistryName",
    "CosmosAccountName",
    "Cpu",
    "DnsLabel",
    "Duration",
    "DynamoTableName",
    "FunctionAppName",
    "IamRoleName",
    "KeyVaultName",
    "LambdaFunctionName",
    "Memory",
    "Network",
    "Percentage",
    "Port",
    "ResourceGroupName",
    "ResourceName",
    "S3BucketName",
    "SageMakerEndpointName",
    "ServiceBusNamespaceName",
    "SqsQueueName",
    "StorageAccountName",
    "WorkspaceName",
    "duration_of",
    "iso_duration",
]


class _Constraint(GroupedMetadata):
    """Metadata that pydantic and Hypothesis read: constraints for the one, a strategy for the other."""

    def constraints(self) -> Iterator[Any]:
        """Yield what pydantic validates by."""
        raise NotImplementedError

    def strategy(self) -> SearchStrategy[Any]:
        """Return what Hypothesis draws from: every value that `constraints` accepts, and no other."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Any]:
        yield from self.constraints()
        # Asked for, never imported: whoever draws has loaded it.
        if "hypothesis" in sys.modules:
            yield self.strategy()


@dataclass(frozen=True)
class ResourceName(_Constraint):
    """The names that a service takes. The pattern matches from start to end; it says nothing of the length."""

    pattern: str
    shortest: int
    longest: int

    def constraints(self) -> Iterator[Any]:
        """Yield pattern and length."""
        yield StringConstraints(pattern=f"^(?:{self.pattern})$", min_length=self.shortest, max_length=self.longest)

    def strategy(self) -> SearchStrategy[str]:
        """Return names of every length."""
        from ringfence.testing.text import matching

        return matching(self.pattern, self.shortest, self.longest)


@dataclass(frozen=True)
class Region(_Constraint):
    """A region of a cloud. Regions are added all the time, so that the pattern decides and the list is for examples."""

    pattern: str
    known: tuple[str, ...]

    def constraints(self) -> Iterator[Any]:
        """Yield the pattern."""
        yield StringConstraints(pattern=f"^(?:{self.pattern})$", max_length=30)

    def strategy(self) -> SearchStrategy[str]:
        """Return regions that there are."""
        from hypothesis import strategies as st

        return st.sampled_from(self.known)


@dataclass(frozen=True)
class Cidr(_Constraint):
    """An IPv4 network in CIDR notation, its host bits zero. A prefix is longer the smaller the network is."""

    shortest: int = 8
    """Prefix of the largest network that is allowed."""
    longest: int = 29
    """Prefix of the smallest one; Azure and AWS take no subnet smaller than /29 and /28."""
    private: bool = True
    """Whether it must be of the private ranges of RFC 1918."""

    def constraints(self) -> Iterator[Any]:
        """Yield a check by Python's `ipaddress`."""
        yield StringConstraints(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$")
        yield AfterValidator(self._check)

    def _check(self, text: str) -> str:
        network = ipaddress.IPv4Network(text)  # its ValueError says what is wrong
        if not self.shortest <= network.prefixlen <= self.longest:
            raise ValueError(f"the prefix is /{network.prefixlen} and must be from /{self.shortest} to /{self.longest}")
        if self.private and not any(network.subnet_of(block) for block in _PRIVATE):
            raise ValueError(f"{text} must be within {', '.join(map(str, _PRIVATE))}")
        return text

    def strategy(self) -> SearchStrategy[str]:
        """Return networks of every size."""
        from hypothesis import strategies as st

        blocks = [block for block in (_PRIVATE if self.private else [_ALL]) if block.prefixlen <= self.longest]

        def networks(block: ipaddress.IPv4Network) -> SearchStrategy[str]:
            lengths = st.integers(max(self.shortest, block.prefixlen), self.longest)
            return lengths.flatmap(
                lambda length: st.integers(0, 2 ** (length - block.prefixlen) - 1).map(
                    lambda number: f"{block.network_address + number * 2 ** (32 - length)}/{length}"
                )
            )

        return st.sampled_from(blocks).flatmap(networks)


_ALL = ipaddress.IPv4Network("0.0.0.0/0")
_PRIVATE = [ipaddress.IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]


@dataclass(frozen=True)
class Duration(_Constraint):
    """An ISO 8601 duration of days, hours, minutes and seconds, for example `P7D` or `PT1M30S`; both bounds included.

    Azure's services take neither years nor months, whose length is not known.
    """

    shortest: timedelta = timedelta(seconds=1)
    longest: timedelta = timedelta(days=365)

    def constraints(self) -> Iterator[Any]:
        """Yield the form and the bounds."""
        yield StringConstraints(pattern=r"^P(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?$", max_length=40)
        yield AfterValidator(self._check)

    def _check(self, text: str) -> str:
        found = duration_of(text)
        if not self.shortest <= found <= self.longest:
            raise ValueError(
                f"{text} must be from {iso_duration(self.shortest)} to {iso_duration(self.longest)}",
            )
        return text

    def strategy(self) -> SearchStrategy[str]:
        """Return durations in whole seconds."""
        from hypothesis import strategies as st

        low = -(-self.shortest // timedelta(seconds=1))
        return st.integers(low, self.longest // timedelta(seconds=1)).map(
            lambda seconds: iso_duration(timedelta(seconds=seconds))
        )


_DURATION = re.compile(r"P(?=\d|T\d)(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", re.ASCII)


def duration_of(text: str) -> timedelta:
    """Return what an ISO 8601 duration of days, hours, minutes and seconds stands for. Raises `ValueError`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no ISO 8601 duration such as P7D or PT1M30S")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    try:
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        raise ValueError(f"{text} is longer than any service allows") from None


def iso_duration(length: timedelta) -> str:
    """Return a length of time as an ISO 8601 duration in whole seconds, for example `P1DT12H`."""
    hours, rest = divmod(length.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    days = f"{length.days}D" if length.days else ""
    time = "".join(f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if number)
    return f"P{days}{'T' + time if time else ''}" if days or time else "PT0S"


@dataclass(frozen=True)
class Memory(_Constraint):
    """Whole numbers in steps, for example MB of memory: `Annotated[int, Memory(512, 4096, step=512)]`."""

    least: int
    most: int
    step: int = 1

    def constraints(self) -> Iterator[Any]:
        """Yield bounds and step."""
        yield from (Ge(self.least), Le(self.most), MultipleOf(self.step))

    def strategy(self) -> SearchStrategy[int]:
        """Return every step."""
        from hypothesis import strategies as st

        low, high = -(-self.least // self.step), self.most // self.step
        return st.integers(low, high).map(lambda number: number * self.step)


@dataclass(frozen=True)
class Cpu(_Constraint):
    """Cores in steps that a float holds exactly, for example quarters: `Annotated[float, Cpu(0.25, 4)]`."""

    least: float
    most: float
    step: float = 0.25

    def constraints(self) -> Iterator[Any]:
        """Yield bounds and step."""
        yield from (Ge(self.least), Le(self.most), AfterValidator(self._check))
        yield WithJsonSchema({"type": "number", "minimum": self.least, "maximum": self.most, "multipleOf": self.step})

    def _check(self, cores: float) -> float:
        if Fraction(cores) % Fraction(self.step):
            raise ValueError(f"{cores} must be in steps of {self.step}")
        return cores

    def strategy(self) -> SearchStrategy[float]:
        """Return every step."""
        from hypothesis import strategies as st

        low, high = -(-Fraction(self.least) // Fraction(self.step)), Fraction(self.most) // Fraction(self.step)
        return st.integers(low, high).map(lambda number: number * self.step)


@dataclass(frozen=True)
class Arn(_Constraint):
    """The ARN of a resource of one AWS service, in any partition: `Annotated[str, Arn("sqs", r"[A-Za-z0-9_-]{1,80}")]`.

    Source: AWS General Reference, "Identify AWS resources with Amazon Resource Names".
    """

    service: str
    resource: str = r"[a-z]+/[A-Za-z0-9_-]{1,64}"
    """A pattern for what stands after the account."""
    regional: bool = True
    """False for services such as IAM and S3, whose ARNs leave region, account or both out."""

    def constraints(self) -> Iterator[Any]:
        """Yield the pattern."""
        yield StringConstraints(pattern=f"^{self._pattern}$", max_length=2048)

    @property
    def _pattern(self) -> str:
        region = r"[a-z]{2}(-[a-z]+)+-[0-9]" if self.regional else r"([a-z]{2}(-[a-z]+)+-[0-9])?"
        account = r"[0-9]{12}" if self.regional else r"([0-9]{12})?"
        return rf"arn:aws(-cn|-us-gov)?:{re.escape(self.service)}:{region}:{account}:(?:{self.resource})"

    def strategy(self) -> SearchStrategy[str]:
        """Return ARNs of regions that there are."""
        from hypothesis import strategies as st

        from ringfence.testing.text import matching

        region, account = st.sampled_from(_AWS_REGIONS), matching("[0-9]{12}", 12, 12)
        if not self.regional:
            region, account = st.just("") | region, st.just("") | account
        return st.builds("arn:aws:{}:{}:{}:{}".format, st.just(self.service), region, account, matching(self.resource))


_AZURE_REGIONS = (
    *("westeurope", "northeurope", "uksouth", "francecentral", "germanywestcentral", "swedencentral"),
    *("switzerlandnorth", "eastus", "eastus2", "westus2", "westus3", "centralus", "canadacentral", "brazilsouth"),
    *("australiaeast", "southeastasia", "japaneast", "koreacentral", "centralindia", "southafricanorth"),
)
_AWS_REGIONS = (
    *("eu-west-1", "eu-west-2", "eu-central-1", "eu-north-1", "us-east-1", "us-east-2", "us-west-2", "ca-central-1"),
    *("sa-east-1", "ap-southeast-1", "ap-southeast-2", "ap-northeast-1", "ap-south-1", "us-gov-west-1", "me-central-1"),
)

Port = Annotated[int, Memory(1, 65_535)]
"""A TCP or UDP port."""
Percentage = Annotated[int, Memory(0, 100)]
"""A share, in percent."""
Network = Annotated[str, Cidr()]
"""A private IPv4 network."""
AzureRegion = Annotated[str, Region(r"[a-z][a-z0-9]{4,29}", _AZURE_REGIONS)]
"""An Azure region in its short form, for example `westeurope`."""
AwsRegion = Annotated[str, Region(r"[a-z]{2}(-[a-z]+)+-[0-9]", _AWS_REGIONS)]
"""An AWS region, for example `eu-west-1`."""
DnsLabel = Annotated[str, ResourceName(r"[a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9]", 1, 63)]
"""One label of a host name in lower case (RFC 1123)."""

# Azure: learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules.
StorageAccountName = Annotated[str, ResourceName(r"[a-z0-9]+", 3, 24)]
BlobContainerName = Annotated[str, ResourceName(r"[a-z0-9]+(-[a-z0-9]+)*", 3, 63)]
KeyVaultName = Annotated[str, ResourceName(r"[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*", 3, 24)]
ContainerRegistryName = Annotated[str, ResourceName(r"[A-Za-z0-9]+", 5, 50)]
ContainerGroupName = Annotated[str, ResourceName(r"[a-z0-9]+(-[a-z0-9]+)*", 1, 63)]
CosmosAccountName = Annotated[str, ResourceName(r"[a-z0-9][a-z0-9-]*[a-z0-9]", 3, 44)]
ServiceBusNamespaceName = Annotated[str, ResourceName(r"[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]", 6, 50)]
FunctionAppName = Annotated[str, ResourceName(r"[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9]", 2, 60)]
ResourceGroupName = Annotated[str, ResourceName(r"[A-Za-z0-9._()-]*[A-Za-z0-9_()-]", 1, 90)]
WorkspaceName = Annotated[str, ResourceName(r"[A-Za-z0-9][A-Za-z0-9_-]+", 3, 33)]
"""A workspace of Azure Machine Learning."""

# AWS: the API references of the services, as named at each.
SqsQueueName = Annotated[str, ResourceName(r"[A-Za-z0-9_-]+(\.fifo)?", 1, 80)]
"""SQS, CreateQueue."""
LambdaFunctionName = Annotated[str, ResourceName(r"[A-Za-z0-9_-]+", 1, 64)]
"""Lambda, CreateFunction."""
DynamoTableName = Annotated[str, ResourceName(r"[A-Za-z0-9_.-]+", 3, 255)]
"""DynamoDB, CreateTable."""
S3BucketName = Annotated[str, ResourceName(r"[a-z0-9]+([.-][a-z0-9]+)*", 3, 63)]
"""S3, bucket naming rules; names that look like an IP address are refused by S3 and not here."""
SageMakerEndpointName = Annotated[str, ResourceName(r"[A-Za-z0-9](-*[A-Za-z0-9])*", 1, 63)]
"""SageMaker, CreateEndpoint."""
IamRoleName = Annotated[str, ResourceName(r"[A-Za-z0-9_+=,.@-]+", 1, 64)]
"""IAM, CreateRole."""
