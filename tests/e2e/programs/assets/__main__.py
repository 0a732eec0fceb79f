"""Assets and archives: files, texts, folders and collections."""

import pulumi
import pulumi_aws as aws

role = aws.iam.Role("worker", assume_role_policy="{}")
aws.lambda_.Function(
    "folder", role=role.arn, runtime="python3.12", handler="app.handler", code=pulumi.FileArchive("code")
)
aws.lambda_.Function(
    "collection",
    role=role.arn,
    runtime="python3.12",
    handler="app.handler",
    code=pulumi.AssetArchive(
        {
            "app.py": pulumi.FileAsset("code/app.py"),
            "settings.json": pulumi.StringAsset('{"size": 3}'),
            "code": pulumi.FileArchive("code"),
        }
    ),
)
bucket = aws.s3.Bucket("files")
aws.s3.BucketObject("page", bucket=bucket.id, source=pulumi.FileAsset("code/app.py"))
aws.s3.BucketObject("text", bucket=bucket.id, source=pulumi.Output.secret(pulumi.StringAsset("hello")))
