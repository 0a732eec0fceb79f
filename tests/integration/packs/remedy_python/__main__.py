"""Gives each thing a size, then doubles it, and says what it is after all packs have mended it."""

from pulumi_policy import EnforcementLevel, PolicyConfigSchema, PolicyPack, ResourceValidationPolicy

THING = "test:index:Thing"


def fill(args):
    if args.resource_type == THING and "size" not in args.props:
        args.props["size"] = 1
        return args.props
    return None


def double(args):
    if args.resource_type == THING:
        told = {"note": f"opened by {args.props['token']}"} if "token" in args.props else {}
        return {**args.props, **told, "size": args.props["size"] * args.get_config()["by"]}
    return None


def odd(args, report_violation):
    if args.resource_type == THING and args.props.get("size", 0) % 2:
        report_violation(f"{args.props['size']:g} is odd")


def seen(args, report_violation):
    if args.resource_type == THING:
        report_violation(f"size {args.props['size']:g}")


def off(args):
    raise RuntimeError("a remediation at another level was called")


PolicyPack(
    name="remedy-python",
    enforcement_level=EnforcementLevel.REMEDIATE,
    policies=[
        ResourceValidationPolicy(name="fill", description="Every thing has a size.", remediate=fill),
        ResourceValidationPolicy(
            name="double",
            description="Sizes are doubled.",
            remediate=double,
            validate=odd,
            config_schema=PolicyConfigSchema(properties={"by": {"type": "integer", "default": 2}}),
        ),
        ResourceValidationPolicy(
            name="off", description="Off.", remediate=off, enforcement_level=EnforcementLevel.MANDATORY
        ),
        ResourceValidationPolicy(
            name="seen", description="What it sees.", validate=seen, enforcement_level=EnforcementLevel.ADVISORY
        ),
    ],
)
