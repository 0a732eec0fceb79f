"""Resources for policies that mend what they judge."""

import pulumi


class Thing(pulumi.CustomResource):
    computed: pulumi.Output[str]

    def __init__(self, name, **inputs):
        super().__init__("test:index:Thing", name, {"computed": None, **inputs})


Thing("bare")
Thing("sized", size=5, note="kept")
Thing("hidden", size=3, token=pulumi.Output.secret("s3cr3t-value"), tags={"inner": pulumi.Output.secret("s3cr3t-too")})
Thing("fed", size=4, label=Thing("feeding", size=1).computed)
