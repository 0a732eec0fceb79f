"""A network without a way to the internet, from which the worker and the model reach what they use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from typing import Any, NamedTuple

import pulumi
import pulumi_aws as aws
from access import allow, document, own, service_role
from config import DecoupledLambdaSettings
from stackkit import Names

__all__ = ["PrivateNetwork", "Seat"]

ADDRESSES = IPv4Network("10.30.0.0/20")
"""Addresses of the whole network: a subnet of 256 in each zone. AWS keeps five of each subnet for itself."""

HTTPS = 443


class Seat(NamedTuple):
    """Where something runs in the network: its subnets, and a security group of its own that lets nothing in."""

    subnets: Sequence[aws.ec2.Subnet]
    group: aws.ec2.SecurityGroup

    @property
    def subnet_ids(self) -> list[pulumi.Output[str]]:
        """Return the ids of the subnets, one in each zone."""
        return [subnet.id for subnet in self.subnets]

    @property
    def interface_arns(self) -> list[pulumi.Output[str]]:
        """Return what a network interface is made from: the subnets and the security group."""
        return [*(subnet.arn for subnet in self.subnets), self.group.arn]


class PrivateNetwork(pulumi.ComponentResource):
    """A VPC of private subnets whose traffic is logged. AWS services are reached through endpoints."""

    def __init__(
        self,
        names: Names,
        settings: DecoupledLambdaSettings,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("decoupled_lambda:network:PrivateNetwork", names("network"), None, opts)
        self._names, self._settings = names, settings
        self._child = pulumi.ResourceOptions(parent=self)
        self._vpc = aws.ec2.Vpc(
            names("network"),
            cidr_block=str(ADDRESSES),
            # Both are needed for an endpoint to answer under its service's usual name.
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=settings.tags,
            opts=self._child,
        )
        # AWS makes this group and nobody uses it; managed and without rules, it lets nothing through.
        aws.ec2.DefaultSecurityGroup(names("default"), vpc_id=self._vpc.id, tags=settings.tags, opts=self._child)
        self._routes = aws.ec2.RouteTable(names("private"), vpc_id=self._vpc.id, tags=settings.tags, opts=self._child)
        self._subnets = [
            self._subnet(zone, str(addresses))
            for zone, addresses in zip(settings.availability_zones, ADDRESSES.subnets(new_prefix=24), strict=False)
        ]
        self._log_traffic()
        self.register_outputs({"vpc_id": self._vpc.id})

    def seat(self, part: str, description: str) -> Seat:
        """Return a place for something in all subnets, with a security group of its own.

        EC2 takes letters, digits, spaces and ._-:/()#,@[]+=&;{}!$* in the description.
        """
        return Seat(self._subnets, self._security_group(part, description))

    def gateway(
        self, part: str, service: str, seat: Seat, statements: Sequence[Mapping[str, Any]]
    ) -> aws.ec2.VpcEndpoint:
        """Let a seat reach S3 or DynamoDB for what the statements allow, and return what must be there first."""
        endpoint = aws.ec2.VpcEndpoint(
            self._names(part),
            vpc_id=self._vpc.id,
            vpc_endpoint_type="Gateway",
            service_name=f"com.amazonaws.{self._settings.region}.{service}",
            route_table_ids=[self._routes.id],
            policy=_for_anybody(statements),
            tags=self._settings.tags,
            opts=self._child,
        )
        self._let_out(f"{part}-out", seat, prefix_list_id=endpoint.prefix_list_id)
        return endpoint

    def interface(
        self, part: str, service: str, seat: Seat, statements: Sequence[Mapping[str, Any]]
    ) -> aws.ec2.VpcEndpoint:
        """Let a seat reach a service for what the statements allow, and return what must be there first."""
        group = self._security_group(part, f"The endpoint of {service}")
        endpoint = aws.ec2.VpcEndpoint(
            self._names(part),
            vpc_id=self._vpc.id,
            vpc_endpoint_type="Interface",
            service_name=f"com.amazonaws.{self._settings.region}.{service}",
            subnet_ids=[subnet.id for subnet in self._subnets],
            security_group_ids=[group.id],
            private_dns_enabled=True,
            policy=_for_anybody(statements),
            tags=self._settings.tags,
            opts=self._child,
        )
        self._let_out(f"{part}-out", seat, security_group_id=group.id)
        aws.vpc.SecurityGroupIngressRule(
            self._names(f"{part}-in"),
            security_group_id=group.id,
            referenced_security_group_id=seat.group.id,
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            tags=self._settings.tags,
            opts=self._child,
        )
        return endpoint

    def _subnet(self, zone: str, addresses: str) -> aws.ec2.Subnet:
        part = f"private-{zone}"
        subnet = aws.ec2.Subnet(
            self._names(part),
            vpc_id=self._vpc.id,
            availability_zone=zone,
            cidr_block=addresses,
            map_public_ip_on_launch=False,
            tags=self._settings.tags,
            opts=self._child,
        )
        aws.ec2.RouteTableAssociation(
            self._names(part), subnet_id=subnet.id, route_table_id=self._routes.id, opts=self._child
        )
        return subnet

    def _security_group(self, part: str, description: str) -> aws.ec2.SecurityGroup:
        return aws.ec2.SecurityGroup(
            self._names(part),
            vpc_id=self._vpc.id,
            # AWS lets a new group out to everywhere. The provider takes that rule away.
            description=description,
            tags=self._settings.tags,
            opts=self._child,
        )

    def _let_out(
        self,
        part: str,
        seat: Seat,
        *,
        prefix_list_id: pulumi.Input[str] | None = None,
        security_group_id: pulumi.Input[str] | None = None,
    ) -> None:
        aws.vpc.SecurityGroupEgressRule(
            self._names(part),
            security_group_id=seat.group.id,
            prefix_list_id=prefix_list_id,
            referenced_security_group_id=security_group_id,
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            tags=self._settings.tags,
            opts=self._child,
        )

    def _log_traffic(self) -> None:
        """Keep who talked to whom. The role is allowed what the VPC guide lists, less making log groups."""
        logs = aws.cloudwatch.LogGroup(
            self._names("traffic"),
            retention_in_days=self._settings.log_retention_days,
            tags=self._settings.tags,
            opts=self._child,
        )
        account = aws.get_caller_identity_output().account_id
        role = service_role(
            self._names("traffic"),
            "vpc-flow-logs.amazonaws.com",
            "Lets VPC write its flow logs to one log group",
            tags=self._settings.tags,
            parent=self,
            condition={
                "StringEquals": {"aws:SourceAccount": account},
                "ArnLike": {"aws:SourceArn": own("ec2", self._settings.region, "vpc-flow-log/*")},
            },
        )
        policy = aws.iam.RolePolicy(
            self._names("traffic"),
            role=role.id,
            policy=document(
                [
                    allow(
                        ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                        [logs.arn, pulumi.Output.format("{0}:*", logs.arn)],
                    ),
                    allow(
                        ["logs:DescribeLogGroups"],
                        [own("logs", self._settings.region, "log-group:*")],
                    ),
                ]
            ),
            opts=self._child,
        )
        aws.ec2.FlowLog(
            self._names("traffic"),
            vpc_id=self._vpc.id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=logs.arn,
            iam_role_arn=role.arn,
            tags=self._settings.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )


def _for_anybody(statements: Sequence[Mapping[str, Any]]) -> pulumi.Output[str]:
    """Return an endpoint's policy. It grants nothing: it says which requests may pass, on top of who may make them."""
    return document([{**statement, "Principal": "*"} for statement in statements])
