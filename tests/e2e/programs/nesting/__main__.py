"""Unknowns, secrets and dependencies inside lists and maps."""

import pulumi
import pulumi_aws as aws

role = aws.iam.Role("worker", assume_role_policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": []}))
table = aws.dynamodb.Table(
    "state",
    hash_key="id",
    attributes=[{"name": "id", "type": "S"}],
    billing_mode="PAY_PER_REQUEST",
    tags={"role": role.name, "fixed": "yes"},
)
key = pulumi.Output.secret("k-123")
aws.lambda_.Function(
    "worker",
    role=role.arn,
    runtime="python3.12",
    handler="app.handler",
    s3_bucket="code",
    s3_key="app.zip",
    environment={"variables": {"TABLE": table.name, "KEY": key, "BOTH": pulumi.Output.concat(table.name, "/", key)}},
    layers=[table.arn, "arn:aws:lambda:eu-west-1:123456789012:layer:one:1"],
)
aws.sns.Topic(
    "all",
    display_name=pulumi.Output.all(table.name, role.name).apply(lambda names: "-".join(names)),
    policy=pulumi.Output.json_dumps({"table": table.arn, "key": key}),
    tags=pulumi.Output.from_input({"a": "b"}).apply(lambda tags: {**tags, "c": "d"}),
)
pulumi.export("format", pulumi.Output.format("{0}:{1}", table.name, "x"))
pulumi.export("loaded", pulumi.Output.json_loads('{"a": [1, 2.5, null, true]}'))
pulumi.export("opened", pulumi.Output.unsecret(key))
pulumi.export("whether", pulumi.Output.is_secret(key))
pulumi.export("nothing", None)
