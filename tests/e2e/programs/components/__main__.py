"""Components in components: parents, qualified types, outputs."""

import pulumi
import pulumi_aws as aws


class Inbox(pulumi.ComponentResource):
    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("shop:queues:Inbox", name, {"name": name, "size": 3}, opts)
        self.dead = aws.sqs.Queue(f"{name}-dead", opts=pulumi.ResourceOptions(parent=self))
        self.queue = aws.sqs.Queue(
            f"{name}-queue",
            redrive_policy=self.dead.arn.apply(lambda arn: f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": 3}}'),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"url": self.queue.url, "token": pulumi.Output.secret("t")})


class Shop(pulumi.ComponentResource):
    def __init__(self, name: str) -> None:
        super().__init__("shop:index:Shop", name)
        self.orders = Inbox("orders", pulumi.ResourceOptions(parent=self))
        self.returns = Inbox("returns", pulumi.ResourceOptions(parent=self, depends_on=[self.orders]))
        self.register_outputs({})


shop = Shop("shop")
after = aws.sns.Topic("after", opts=pulumi.ResourceOptions(depends_on=[shop]))
pulumi.export("orders", shop.orders.queue.url)
pulumi.export("shop", shop)
pulumi.export("after", {"arn": after.arn, "names": [after.name, "fixed"]})
