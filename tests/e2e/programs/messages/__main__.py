"""Prints and log messages are no part of what is deployed."""

import sys

import pulumi
import pulumi_aws as aws

print("printed by the program")
print("to standard error", file=sys.stderr)
queue = aws.sqs.Queue("jobs")
pulumi.log.info("from the log")
pulumi.log.warn("take care", queue)
