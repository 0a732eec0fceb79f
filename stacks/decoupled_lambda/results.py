"""Where results are kept."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws
from alerting import Alerting
from config import DecoupledLambdaSettings
from stackkit import Names

__all__ = ["Results"]


class Results(pulumi.ComponentResource):
    """A table with one item for each request, which expires.

    The table refuses to be deleted in every environment; README.md says how to tear a stack down.
    """

    table: aws.dynamodb.Table

    def __init__(
        self,
        names: Names,
        settings: DecoupledLambdaSettings,
        alerting: Alerting,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("decoupled_lambda:results:Results", names("results"), None, opts)
        self.table = aws.dynamodb.Table(
            names("results"),
            attributes=[aws.dynamodb.TableAttributeArgs(name="request_id", type="S")],
            hash_key="request_id",
            billing_mode="PAY_PER_REQUEST",
            on_demand_throughput=aws.dynamodb.TableOnDemandThroughputArgs(
                max_read_request_units=settings.max_read_units,
                max_write_request_units=settings.max_write_units,
            ),
            ttl=aws.dynamodb.TableTtlArgs(attribute_name="expires_at", enabled=True),
            point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(
                enabled=True,
                recovery_period_in_days=settings.recovery_days,
            ),
            deletion_protection_enabled=True,
            tags=settings.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=settings.is_prod),
        )
        for kind in ("Read", "Write"):
            alerting.alarm(
                f"results-{kind.lower()}-throttles",
                f"The table refuses requests: max{kind}Units is too low.",
                namespace="AWS/DynamoDB",
                metric=f"{kind}ThrottleEvents",
                dimensions={"TableName": self.table.name},
                parent=self,
            )
        self.register_outputs({"table_name": self.table.name})
