"""Resources that show a policy pack all that the engine passes to one."""

import pulumi


class Thing(pulumi.CustomResource):
    computed: pulumi.Output[str]

    def __init__(self, name, opts=None, **inputs):
        super().__init__("test:index:Thing", name, {"computed": None, **inputs}, opts)


class Shelf(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("shop:index:Shelf", name)


cloud = pulumi.ProviderResource("test", "cloud", {"region": "moon"})
plain = Thing("plain", size=3, label="red")
Thing(
    "full",
    size=1,
    label="green",
    opts=pulumi.ResourceOptions(
        protect=True,
        ignore_changes=["label", "tags"],
        delete_before_replace=True,
        custom_timeouts=pulumi.CustomTimeouts(create="1m", update="2h", delete="30s"),
        additional_secret_outputs=["computed"],
        aliases=[pulumi.Alias(name="old")],
        provider=cloud,
    ),
)
shelf = Shelf("shelf")
Thing("child", size=2, opts=pulumi.ResourceOptions(parent=shelf, depends_on=[plain], delete_before_replace=False))
Thing("fed", size=1, label=plain.computed, tags={"owner": plain.computed, "team": "red"})
Thing("hidden", size=0, token=pulumi.Output.secret(pulumi.Config().require("token")))
Thing("filed", file=pulumi.FileAsset("Pulumi.yaml"), text=pulumi.StringAsset("a text"), files=pulumi.FileArchive("."))
