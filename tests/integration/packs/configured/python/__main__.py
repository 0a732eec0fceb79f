"""A policy for each case of cases.json, which says what config it has."""

import json
from pathlib import Path

from pulumi_policy import EnforcementLevel, PolicyConfigSchema, PolicyPack, ResourceValidationPolicy

CASES = json.loads((Path(__file__).parent.parent / "cases.json").read_text())


def says_config(args, report_violation):
    if args.name == "plain":
        value = args.get_config().get("value", "nothing")
        whole = isinstance(value, float) and value.is_integer()
        report_violation(json.dumps(int(value) if whole else value, separators=(",", ":")))


PolicyPack(
    name="configured",
    policies=[
        ResourceValidationPolicy(
            name=name,
            description="Config",
            validate=says_config,
            config_schema=PolicyConfigSchema(
                properties={"value": case["schema"]}, required=["value"] if case.get("required") else None
            ),
        )
        for name, case in CASES.items()
    ],
    initial_config={
        name: {"enforcementLevel": EnforcementLevel.MANDATORY, "value": case["initial"]}
        for name, case in CASES.items()
        if "initial" in case
    },
)
