"""Functions of providers: plain and output form, known and unknown arguments, an explicit provider."""

import pulumi
import pulumi_aws as aws

identity = aws.get_caller_identity()
zones = aws.get_availability_zones(state="available")
west = aws.Provider("west", region="us-west-2")
region = aws.get_region_output(opts=pulumi.InvokeOptions(provider=west))
bucket = aws.s3.Bucket("data", tags={"account": identity.account_id, "zone": zones.names[0]})
document = aws.iam.get_policy_document_output(
    statements=[{"actions": ["s3:GetObject"], "resources": [bucket.arn.apply(lambda arn: f"{arn}/*")]}]
)
plain = aws.iam.get_policy_document(statements=[{"actions": ["s3:ListBucket"], "resources": ["*"]}])
aws.iam.Policy("read", policy=document.json)
aws.iam.Policy("list", policy=plain.json, description=region.name)
pulumi.export("document", document.json)
