"""Config of every kind, from the project file and from the stack's."""

import pulumi
import pulumi_aws as aws

config = pulumi.Config()
other = pulumi.Config("team")
tags = {
    "text": config.require("text"),
    "number": str(config.require_int("number")),
    "truth": str(config.require_bool("truth")),
    "defaulted": config.require("defaulted"),
    "team": other.require("name"),
    "project": pulumi.get_project(),
    "stack": pulumi.get_stack(),
}
aws.sqs.Queue("plain", delay_seconds=config.get_int("number"), tags=tags)
aws.sqs.Queue("objects", tags={**config.require_object("map"), "items": ",".join(config.require_object("items"))})
aws.secretsmanager.SecretVersion("sealed", secret_id="db", secret_string=config.require_secret("password"))
pulumi.export("password", config.require_secret("password"))
pulumi.export("dry", pulumi.runtime.is_dry_run())
