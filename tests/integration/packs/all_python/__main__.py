"""The policies of all_typescript, with the same answers."""

import asyncio
import json

import pulumi
import pulumi.runtime
from pulumi_policy import (
    EnforcementLevel,
    PolicyComplianceFramework,
    PolicyConfigSchema,
    PolicyPack,
    ResourceValidationPolicy,
    Severity,
    StackValidationPolicy,
)

THING = "test:index:Thing"
SHELF = "shop:index:Shelf"
STACK = "pulumi:pulumi:Stack"


def text(value):
    return json.dumps(value, separators=(",", ":"))


def red(args, report_violation):
    if args.resource_type == THING and "label" in args.props and args.props["label"] == "red":
        report_violation(f"{args.name} is red")


def owner(args, report_violation):
    if args.resource_type == THING and "tags" in args.props and args.props["tags"]["owner"] == "nobody":
        report_violation("never")


def size(args, report_violation):
    config = args.get_config()
    if args.resource_type == THING and args.props.get("size", 0) > config["most"]:
        mode, notes = config["mode"], ",".join(config["notes"])
        report_violation(f"{int(args.props['size'])} is over {int(config['most'])}, {mode}: {notes}")


def options(args, report_violation):
    opts, times = args.opts, args.opts.custom_timeouts
    if args.name in ("full", "child", "shelf"):
        seen = [
            opts.protect,
            list(opts.ignore_changes),
            opts.delete_before_replace,
            list(opts.aliases),
            [int(times.create_seconds), int(times.update_seconds), int(times.delete_seconds)],
            list(opts.additional_secret_outputs),
            (opts.parent or "").split("::")[-1],
        ]
        report_violation(text(seen))


def provider(args, report_violation):
    if args.name in ("full", "plain", "shelf"):
        seen = args.provider
        report_violation(
            text([seen.resource_type, seen.name, seen.urn.split("::")[2], seen.props.get("region")])
            if seen
            else "no provider"
        )


def run(args, report_violation):
    if args.resource_type == STACK:
        tags = [[key, args.stack_tags[key]] for key in sorted(args.stack_tags)]
        colour = pulumi.Config("estate").get("colour")
        where = [pulumi.get_organization(), pulumi.get_project(), pulumi.get_stack(), pulumi.runtime.is_dry_run()]
        report_violation(text([*where, colour, tags]))


def shelves(args, report_violation):
    if args.resource_type != SHELF:
        args.not_applicable("not a shelf")


def tells(args, report_violation):
    if args.resource_type == THING and "token" in args.props:
        report_violation(f"the token is {args.props['token']}!")


def silent(args, report_violation):
    pass


def never(args, report_violation):
    raise RuntimeError("a disabled policy was called")


def first(args, report_violation):
    if args.name == "plain":
        report_violation("first", "urn:pulumi:dev::estate::test:index:Thing::full")


async def second(args, report_violation):
    await asyncio.sleep(0.01)
    if args.name == "plain":
        report_violation("second")


def files(args, report_violation):
    if args.name == "filed":
        kinds = {"file": pulumi.FileAsset, "text": pulumi.StringAsset, "files": pulumi.FileArchive}
        report_violation(text([isinstance(args.props[key], kind) for key, kind in kinds.items()]))


def links(args, report_violation):
    for resource in args.resources:
        if resource.resource_type == THING and (resource.dependencies or resource.name == "child"):
            after = sorted(other.name for other in resource.dependencies)
            by = [
                [key, [other.name for other in resource.property_dependencies[key]]]
                for key in sorted(resource.property_dependencies)
            ]
            report_violation(text([resource.parent.name, after, by]), resource.urn)


def count(args, report_violation):
    number = sum(resource.resource_type == THING for resource in args.resources)
    report_violation(f"{number} things, at most {int(args.get_config()['most'])}")


def castles(args, report_violation):
    args.not_applicable("there are no castles")


def fed(args, report_violation):
    for resource in args.resources:
        if resource.name == "fed" and resource.props["label"] == "red":
            report_violation("never")


def stack_provider(args, report_violation):
    for resource in args.resources:
        if resource.name == "full":
            report_violation(f"{resource.provider.name}, {text(resource.opts.protect)}", resource.urn)


def resource(name, validate, level=None, **more):
    return ResourceValidationPolicy(
        name=name, description=f"About {name}.", validate=validate, enforcement_level=level, **more
    )


def stack(name, validate, level=None, **more):
    return StackValidationPolicy(
        name=name, description=f"About {name}.", validate=validate, enforcement_level=level, **more
    )


PolicyPack(
    name="all",
    enforcement_level=EnforcementLevel.ADVISORY,
    policies=[
        resource(
            "red",
            red,
            EnforcementLevel.MANDATORY,
            severity=Severity.CRITICAL,
            framework=PolicyComplianceFramework(
                name="House", version="1", reference="2.3", specification="Colours are quiet."
            ),
            tags=["colours"],
            remediation_steps="Paint it.",
            url="https://example.com/red",
        ),
        resource("owner", owner, EnforcementLevel.MANDATORY),
        resource(
            "size",
            size,
            config_schema=PolicyConfigSchema(
                properties={
                    "most": {"type": "integer", "minimum": 1, "maximum": 10, "default": 2},
                    "mode": {"type": "string", "enum": ["soft", "hard"], "default": "soft"},
                    "notes": {"type": "array", "items": {"type": "string"}},
                },
                required=["notes"],
            ),
        ),
        resource("options", options),
        resource("provider", provider),
        resource("run", run),
        resource("shelves", shelves),
        resource("tells", tells, severity=Severity.LOW),
        resource("silent", silent),
        resource("never", never, EnforcementLevel.DISABLED),
        resource("twice", [first, second]),
        resource("files", files),
        stack("links", links),
        stack(
            "count",
            count,
            EnforcementLevel.REMEDIATE,
            config_schema=PolicyConfigSchema(properties={"most": {"type": "number"}}),
        ),
        stack("castles", castles),
        stack("fed", fed, EnforcementLevel.MANDATORY),
        stack("stack-provider", stack_provider),
    ],
    initial_config={
        "size": {"enforcementLevel": EnforcementLevel.ADVISORY, "notes": ["initial"]},
        "count": {"enforcementLevel": EnforcementLevel.REMEDIATE, "most": 5},
    },
)
