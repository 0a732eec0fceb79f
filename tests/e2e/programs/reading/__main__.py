"""Resources that exist: `get`, and outputs of another stack."""

import pulumi
import pulumi_aws as aws

vpc = aws.ec2.Vpc.get("main", "vpc-0123456789abcdef0")
aws.ec2.Subnet("inner", vpc_id="vpc-1", cidr_block=vpc.cidr_block)
queue = aws.sqs.Queue.get("theirs", "https://sqs.us-east-1.amazonaws.com/123456789012/theirs", name="theirs")
network = pulumi.StackReference("organization/network/prod")
aws.sqs.Queue("tagged", tags={"vpc": network.get_output("vpcId"), "their": queue.name})
pulumi.export("zones", network.require_output("zones"))
pulumi.export("missing", network.get_output("nothing"))
