"""The id of a resource that exists, handed on."""

import pulumi_aws as aws

vpc = aws.ec2.Vpc.get("main", "vpc-0123456789abcdef0")
aws.ec2.Subnet("inner", vpc_id=vpc.id, cidr_block="10.0.1.0/24")
