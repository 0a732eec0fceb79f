// A policy for each case of cases.json, which says what config it has.

import * as fs from "fs";

import { PolicyPack, PolicyPackConfig } from "@pulumi/policy";

const cases: Record<string, any> = JSON.parse(fs.readFileSync("../cases.json", "utf8"));
const initial: PolicyPackConfig = {};
for (const [name, { initial: value }] of Object.entries(cases)) {
    if (value !== undefined) {
        initial[name] = { enforcementLevel: "mandatory", value };
    }
}

new PolicyPack(
    "configured",
    {
        policies: Object.entries(cases).map(([name, { schema, required }]) => ({
            name,
            description: "Config",
            configSchema: { properties: { value: schema }, required: required ? ["value"] : undefined },
            validateResource: (args, report) => {
                if (args.name === "plain") {
                    const { value = "nothing" } = args.getConfig<{ value?: any }>();
                    report(JSON.stringify(value));
                }
            },
        })),
    },
    initial,
);
