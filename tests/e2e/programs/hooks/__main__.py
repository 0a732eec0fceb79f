"""Resource hooks are accepted; a preview runs those of a create."""

import pulumi
import pulumi_aws as aws


def note(args: pulumi.ResourceHookArgs) -> None:
    pass


hook = pulumi.ResourceHook("note", note)
aws.sqs.Queue(
    "jobs", opts=pulumi.ResourceOptions(hooks=pulumi.ResourceHookBinding(after_create=[hook], before_delete=[hook]))
)
