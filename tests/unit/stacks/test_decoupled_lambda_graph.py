"""How the stack hangs together, and what differs between its environments."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ringfence.deployment import Deployment, Resource
from tests.unit.stacks.graphs import depends_on, deployment, of_type, one
from tests.unit.stacks.loading import STACKS

STACK = "decoupled_lambda"
BOTH = pytest.mark.parametrize("environment", ["dev", "prod"])

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
FUNCTION = "aws:lambda/function:Function"
MODEL = "aws:sagemaker/model:Model"
QUEUE = "aws:sqs/queue:Queue"
ROLE = "aws:iam/role:Role"
POLICY = "aws:iam/rolePolicy:RolePolicy"
TABLE = "aws:dynamodb/table:Table"
INTERFACES = "arn:aws:ec2:eu-central-1:123456789012:network-interface/*"


def names_of_arns(graph: Deployment) -> dict[str, str]:
    """Return the logical name of each ARN that a resource of the stack stands for."""
    return {
        str(item.outputs["arn"]): f"{item.type.split(':')[1]} {item.name}"
        for item in graph.resources
        if "arn" in item.outputs
    }


def statements(graph: Deployment, resource: Resource, key: str = "policy") -> list[dict[str, Any]]:
    """Return a policy's statements, with logical names for ARNs."""
    names = names_of_arns(graph)
    found = json.loads(resource.inputs[key])["Statement"]

    def named(arn: str) -> str:
        base, star = (arn[:-2], ":*") if arn.endswith(":*") else (arn, "")
        return names[base] + star if base in names else arn

    return [item | {"Resource": sorted(named(arn) for arn in item["Resource"])} for item in found if "Resource" in item]


def allowed(graph: Deployment, resource: Resource) -> dict[str, list[str]]:
    """Return on which resources each action is allowed."""
    return {
        action: item["Resource"]
        for item in statements(graph, resource)
        if item["Effect"] == "Allow"
        for action in item["Action"]
    }


def trust(graph: Deployment, name: str) -> dict[str, Any]:
    (statement,) = json.loads(one(graph, ROLE, name).inputs["assumeRolePolicy"])["Statement"]
    return dict(statement)


def worker_in_private(names: str) -> dict[str, list[str]]:
    return {
        "ec2:CreateNetworkInterface": sorted(
            [
                INTERFACES,
                f"ec2/subnet {names}-private-eu-central-1a",
                f"ec2/subnet {names}-private-eu-central-1b",
                f"ec2/securityGroup {names}-worker",
            ]
        ),
        "ec2:AssignPrivateIpAddresses": [INTERFACES],
        "ec2:UnassignPrivateIpAddresses": [INTERFACES],
        "ec2:DeleteNetworkInterface": ["arn:aws:ec2:eu-central-1:123456789012:*/*"],
        "ec2:DescribeNetworkInterfaces": ["*"],
        "ec2:DescribeSubnets": ["*"],
    }


@BOTH
def test_what_the_worker_may_do(environment: str) -> None:
    graph = deployment(STACK, environment)
    names = f"inference-{environment}"
    queue = [f"sqs/queue {names}-requests"]
    logs = [f"cloudwatch/logGroup {names}-worker:*"]
    table = [f"dynamodb/table {names}-results"]

    assert allowed(graph, one(graph, POLICY, "worker")) == {
        "sqs:DeleteMessage": queue,
        "sqs:GetQueueAttributes": queue,
        "sqs:ReceiveMessage": queue,
        "sqs:SendMessage": [f"sqs/queue {names}-dead-letters"],
        "sagemaker:InvokeEndpoint": [f"sagemaker/endpoint {names}-model"],
        "dynamodb:GetItem": table,
        "dynamodb:PutItem": table,
        "logs:CreateLogStream": logs,
        "logs:PutLogEvents": logs,
        "xray:PutTelemetryRecords": ["*"],
        "xray:PutTraceSegments": ["*"],
    } | (worker_in_private(names) if environment == "prod" else {})


@BOTH
def test_what_the_model_may_do(environment: str) -> None:
    graph = deployment(STACK, environment)
    names = f"inference-{environment}"
    logs = sorted([f"cloudwatch/logGroup {names}-model", f"cloudwatch/logGroup {names}-model:*"])
    image = ["arn:aws:ecr:eu-central-1:123456789012:repository/scorer"]
    weights = f"arn:aws:s3:::example-models-{environment}/scorer/2025-11-03/model.tar.gz"
    interfaces = {
        "ec2:CreateNetworkInterface": sorted(
            [
                INTERFACES,
                f"ec2/subnet {names}-private-eu-central-1a",
                f"ec2/subnet {names}-private-eu-central-1b",
                f"ec2/securityGroup {names}-model",
            ]
        ),
        "ec2:CreateNetworkInterfacePermission": [INTERFACES],
        "ec2:DeleteNetworkInterface": [INTERFACES],
        "ec2:DeleteNetworkInterfacePermission": [INTERFACES],
        "ec2:DescribeDhcpOptions": ["*"],
        "ec2:DescribeNetworkInterfaces": ["*"],
        "ec2:DescribeSecurityGroups": ["*"],
        "ec2:DescribeSubnets": ["*"],
        "ec2:DescribeVpcs": ["*"],
    }

    assert allowed(graph, one(graph, POLICY, "model")) == {
        "s3:GetObject": [weights],
        "ecr:BatchCheckLayerAvailability": image,
        "ecr:BatchGetImage": image,
        "ecr:GetDownloadUrlForLayer": image,
        "ecr:GetAuthorizationToken": ["*"],
        "cloudwatch:PutMetricData": ["*"],
        "logs:CreateLogStream": logs,
        "logs:DescribeLogStreams": logs,
        "logs:PutLogEvents": logs,
    } | (interfaces if environment == "prod" else {})


def test_the_workers_own_code_may_not_touch_the_network() -> None:
    graph = deployment(STACK, "prod")
    policy = one(graph, POLICY, "worker")
    (denied,) = [item for item in statements(graph, policy) if item["Effect"] == "Deny"]
    network = {action for action in allowed(graph, policy) if action.startswith("ec2:")}
    (pattern,) = [value["lambda:SourceFunctionArn"] for value in denied["Condition"].values()]

    assert network == set(denied["Action"])
    assert (denied["Resource"], list(denied["Condition"])) == (["*"], ["ArnLike"])
    assert pattern.endswith(":function:inference-prod-worker-*")
    assert str(one(graph, FUNCTION).outputs["arn"]).startswith(pattern.removesuffix("*"))


@BOTH
def test_who_may_take_on_which_role(environment: str) -> None:
    graph = deployment(STACK, environment)
    services = {item.name: trust(graph, item.name)["Principal"]["Service"] for item in of_type(graph, ROLE)}
    names = f"inference-{environment}"
    expected = {f"{names}-worker": "lambda.amazonaws.com", f"{names}-model": "sagemaker.amazonaws.com"}
    if environment == "prod":
        expected[f"{names}-traffic"] = "vpc-flow-logs.amazonaws.com"

    assert expected == services
    assert trust(graph, "model")["Condition"] == {
        "ArnLike": {"aws:SourceArn": "arn:aws:sagemaker:eu-central-1:123456789012:*"}
    }


@BOTH
def test_each_role_is_used_by_its_own_service(environment: str) -> None:
    graph = deployment(STACK, environment)

    assert one(graph, FUNCTION).inputs["role"] == one(graph, ROLE, "worker").outputs["arn"]
    assert one(graph, MODEL).inputs["executionRoleArn"] == one(graph, ROLE, "model").outputs["arn"]


@BOTH
def test_nothing_is_made_before_what_it_needs(environment: str) -> None:
    graph = deployment(STACK, environment)
    names = f"inference-{environment}"
    function, model = one(graph, FUNCTION), one(graph, MODEL)
    endpoint = one(graph, "aws:sagemaker/endpoint:Endpoint")
    logs = {item.urn for item in of_type(graph, "aws:cloudwatch/logGroup:LogGroup")}

    assert one(graph, POLICY, "worker").urn in function.dependencies
    assert one(graph, POLICY, "model").urn in model.dependencies
    assert logs & set(endpoint.dependencies)
    assert {f"{names}-model", f"{names}-results", f"{names}-dead-letters"} <= depends_on(graph, function)
    assert {f"{names}-worker", f"{names}-requests"} <= depends_on(
        graph, one(graph, "aws:lambda/eventSourceMapping:EventSourceMapping")
    )


def test_in_the_private_network_the_endpoints_come_first() -> None:
    graph = deployment(STACK, "prod")

    assert one(graph, ENDPOINT, "model-data").urn in one(graph, MODEL).dependencies
    assert {one(graph, ENDPOINT, "prod-inference").urn, one(graph, ENDPOINT, "prod-results").urn} <= set(
        one(graph, FUNCTION).dependencies
    )


def test_there_is_no_way_to_the_internet() -> None:
    graph = deployment(STACK, "prod")
    types = {resource.type.split(":")[-1] for resource in graph.resources}
    rules = of_type(graph, "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")

    assert not types & {"InternetGateway", "NatGateway", "EgressOnlyInternetGateway", "Route", "Eip"}
    assert "routes" not in one(graph, "aws:ec2/routeTable:RouteTable").inputs
    assert len(rules) == 3
    assert not [rule.name for rule in rules if {"cidrIpv4", "cidrIpv6"} & set(rule.inputs)]


def test_who_may_talk_to_whom_in_the_private_network() -> None:
    graph = deployment(STACK, "prod")
    groups = {item.id: item.name for item in of_type(graph, "aws:ec2/securityGroup:SecurityGroup")}

    def other(rule: Resource) -> str:
        if "referencedSecurityGroupId" in rule.inputs:
            return groups[rule.inputs["referencedSecurityGroupId"]]
        (gateway,) = rule.property_dependencies["prefixListId"]
        return str(graph.by_urn[gateway].inputs["serviceName"])

    def rules(kind: str) -> set[tuple[str, str, int, int]]:
        return {
            (
                groups[rule.inputs["securityGroupId"]],
                other(rule),
                int(rule.inputs["fromPort"]),
                int(rule.inputs["toPort"]),
            )
            for rule in of_type(graph, f"aws:vpc/securityGroup{kind}Rule:SecurityGroup{kind}Rule")
        }

    assert rules("Egress") == {
        ("inference-prod-worker", "inference-prod-inference", 443, 443),
        ("inference-prod-worker", "com.amazonaws.eu-central-1.dynamodb", 443, 443),
        ("inference-prod-model", "com.amazonaws.eu-central-1.s3", 443, 443),
    }
    assert rules("Ingress") == {("inference-prod-inference", "inference-prod-worker", 443, 443)}


def test_endpoints_let_through_what_is_needed_and_nothing_else() -> None:
    graph = deployment(STACK, "prod")
    found = {
        item.inputs["serviceName"].removeprefix("com.amazonaws.eu-central-1."): allowed(graph, item)
        for item in of_type(graph, ENDPOINT)
    }
    table = ["dynamodb/table inference-prod-results"]

    assert found == {
        "s3": {"s3:GetObject": ["arn:aws:s3:::example-models-prod/scorer/2025-11-03/model.tar.gz"]},
        "dynamodb": {"dynamodb:GetItem": table, "dynamodb:PutItem": table},
        "sagemaker.runtime": {"sagemaker:InvokeEndpoint": ["sagemaker/endpoint inference-prod-model"]},
    }


def test_function_and_model_sit_in_all_zones() -> None:
    graph = deployment(STACK, "prod")
    subnets = of_type(graph, "aws:ec2/subnet:Subnet")
    ids = {subnet.id for subnet in subnets}
    vpc = one(graph, "aws:ec2/vpc:Vpc")

    assert [subnet.inputs["availabilityZone"] for subnet in subnets] == ["eu-central-1a", "eu-central-1b"]
    assert ids == set(one(graph, FUNCTION).inputs["vpcConfig"]["subnetIds"])
    assert ids == set(one(graph, MODEL).inputs["vpcConfig"]["subnets"])
    assert ids == set(one(graph, ENDPOINT, "prod-inference").inputs["subnetIds"])
    assert vpc.id == one(graph, "aws:ec2/flowLog:FlowLog").inputs["vpcId"]
    assert (vpc.inputs["enableDnsHostnames"], vpc.inputs["enableDnsSupport"]) == (True, True)
    assert {vpc.id} == {subnet.inputs["vpcId"] for subnet in subnets}


@BOTH
def test_a_bad_message_ends_in_the_queue_that_is_watched(environment: str) -> None:
    graph = deployment(STACK, environment)
    requests, dead = one(graph, QUEUE, "requests"), one(graph, QUEUE, "dead-letters")
    back = one(graph, "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy").inputs

    assert json.loads(requests.inputs["redrivePolicy"]) == {
        "deadLetterTargetArn": dead.outputs["arn"],
        "maxReceiveCount": 5,
    }
    assert json.loads(back["redriveAllowPolicy"]) == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [requests.outputs["arn"]],
    }
    assert one(graph, ALARM, "dead-letters").inputs["dimensions"] == {"QueueName": dead.outputs["name"]}
    assert dead.inputs["messageRetentionSeconds"] > requests.inputs["messageRetentionSeconds"]


@BOTH
def test_what_is_watched(environment: str) -> None:
    graph = deployment(STACK, environment)
    alarms = of_type(graph, ALARM)
    topic = one(graph, "aws:sns/topic:Topic").outputs["arn"]

    assert {item.inputs["namespace"].removeprefix("AWS/") + " " + item.inputs["metricName"] for item in alarms} == {
        "SQS ApproximateNumberOfMessagesVisible",
        "SQS ApproximateAgeOfOldestMessage",
        "Lambda Errors",
        "Lambda Throttles",
        "Lambda Duration",
        "Lambda ConcurrentExecutions",
        "SageMaker Invocation5XXErrors",
        "SageMaker ModelLatency",
        "DynamoDB ReadThrottleEvents",
        "DynamoDB WriteThrottleEvents",
    }
    assert [[topic]] * 10 == [item.inputs["alarmActions"] for item in alarms]
    assert [len({"statistic", "extendedStatistic"} & set(item.inputs)) for item in alarms] == [1] * 10


@pytest.mark.parametrize(
    ("environment", "milliseconds", "runs", "microseconds", "age"),
    [("dev", 54_000, 1.8, 5_000_000, 3 * 361), ("prod", 108_000, 36, 5_000_000, 3 * 721)],
)
def test_alarms_follow_the_settings(
    environment: str, milliseconds: float, runs: float, microseconds: float, age: int
) -> None:
    graph = deployment(STACK, environment)
    thresholds = {
        item.name.removeprefix(f"inference-{environment}-"): item.inputs["threshold"] for item in of_type(graph, ALARM)
    }

    assert thresholds["worker-slow"] == pytest.approx(milliseconds)
    assert thresholds["worker-saturated"] == pytest.approx(runs)
    assert thresholds["model-slow"] == pytest.approx(microseconds)
    assert age == thresholds["requests-age"]


@BOTH
def test_a_new_model_version_is_rolled_back_by_its_errors(environment: str) -> None:
    graph = deployment(STACK, environment)
    endpoint = one(graph, "aws:sagemaker/endpoint:Endpoint")
    alarm = one(graph, ALARM, "model-errors")
    (named,) = endpoint.inputs["deploymentConfig"]["autoRollbackConfiguration"]["alarms"]

    assert named["alarmName"] == alarm.outputs["name"]
    assert alarm.inputs["dimensions"] == {"EndpointName": endpoint.inputs["name"], "VariantName": "primary"}


@BOTH
def test_the_queue_hides_a_message_for_six_runs(environment: str) -> None:
    graph = deployment(STACK, environment)
    function = one(graph, FUNCTION)

    assert 6 * function.inputs["timeout"] + 1 == one(graph, QUEUE, "requests").inputs["visibilityTimeoutSeconds"]


@BOTH
def test_the_function_is_told_what_it_uses_and_no_secret(environment: str) -> None:
    graph = deployment(STACK, environment)

    assert one(graph, FUNCTION).inputs["environment"]["variables"] == {
        "ENDPOINT_NAME": one(graph, "aws:sagemaker/endpoint:Endpoint").inputs["name"],
        "TABLE_NAME": one(graph, TABLE).outputs["name"],
        "INFERENCE_TIMEOUT_SECONDS": "10",
        "RESULT_TTL_SECONDS": str((90 if environment == "prod" else 30) * 24 * 60 * 60),
    }


def test_what_differs_between_the_environments() -> None:
    def differs(environment: str) -> dict[str, Any]:
        graph = deployment(STACK, environment)
        function, table = one(graph, FUNCTION), one(graph, TABLE)
        target = one(graph, "aws:appautoscaling/target:Target").inputs
        endpoint = one(graph, "aws:sagemaker/endpoint:Endpoint").inputs["deploymentConfig"]
        routing = endpoint["blueGreenUpdatePolicy"]["trafficRoutingConfiguration"]
        return {
            "instances": (target["minCapacity"], target["maxCapacity"]),
            "routing": routing["type"],
            "runs": function.inputs["reservedConcurrentExecutions"],
            "in a network": ["vpcConfig" in item.inputs for item in (function, one(graph, MODEL))],
            "endpoints": len(of_type(graph, ENDPOINT)),
            "recovery": table.inputs["pointInTimeRecovery"]["recoveryPeriodInDays"],
            "protected": {item.name for item in graph.resources if item.options.protect},
            "logs": {item.inputs["retentionInDays"] for item in of_type(graph, "aws:cloudwatch/logGroup:LogGroup")},
        }

    assert differs("dev") == {
        "instances": (1, 2),
        "routing": "ALL_AT_ONCE",
        "runs": 5,
        "in a network": [False, False],
        "endpoints": 0,
        "recovery": 7,
        "protected": set(),
        "logs": {14},
    }
    assert differs("prod") == {
        "instances": (2, 8),
        "routing": "CANARY",
        "runs": 50,
        "in a network": [True, True],
        "endpoints": 3,
        "recovery": 35,
        "protected": {"inference-prod-results"},
        "logs": {365},
    }


@BOTH
def test_the_function_is_packed_from_its_modules(environment: str) -> None:
    code = one(deployment(STACK, environment), FUNCTION).inputs["code"]
    modules = {path.name for path in (STACKS / STACK / "app").glob("*.py")}

    assert modules == {"handler.py", "scoring.py"}
    assert {name: f"app/{name}" for name in modules} == {name: item.content for name, item in code.content.items()}
