// The policies of all_python, with the same answers.

import * as pulumi from "@pulumi/pulumi";
import {
    EnforcementLevel,
    PolicyPack,
    ResourceValidation,
    ResourceValidationPolicy,
    StackValidation,
    StackValidationPolicy,
} from "@pulumi/policy";

const THING = "test:index:Thing";
const SHELF = "shop:index:Shelf";
const STACK = "pulumi:pulumi:Stack";

function resource(
    name: string,
    validateResource: ResourceValidation | ResourceValidation[],
    enforcementLevel?: EnforcementLevel,
    more: Partial<ResourceValidationPolicy> = {},
): ResourceValidationPolicy {
    return { name, description: `About ${name}.`, validateResource, enforcementLevel, ...more };
}

function stack(
    name: string,
    validateStack: StackValidation,
    enforcementLevel?: EnforcementLevel,
    more: Partial<StackValidationPolicy> = {},
): StackValidationPolicy {
    return { name, description: `About ${name}.`, validateStack, enforcementLevel, ...more };
}

const red: ResourceValidation = (args, report) => {
    if (args.type === THING && args.props.label === "red") {
        report(`${args.name} is red`);
    }
};

const owner: ResourceValidation = (args, report) => {
    if (args.type === THING && args.props.tags?.owner === "nobody") {
        report("never");
    }
};

const size: ResourceValidation = (args, report) => {
    const config = args.getConfig<{ most: number; mode: string; notes: string[] }>();
    if (args.type === THING && args.props.size > config.most) {
        report(`${args.props.size} is over ${config.most}, ${config.mode}: ${config.notes.join(",")}`);
    }
};

const options: ResourceValidation = (args, report) => {
    const opts = args.opts;
    const times = opts.customTimeouts;
    if (["full", "child", "shelf"].includes(args.name)) {
        report(
            JSON.stringify([
                opts.protect,
                opts.ignoreChanges,
                opts.deleteBeforeReplace ?? null,
                opts.aliases,
                [times.createSeconds, times.updateSeconds, times.deleteSeconds],
                opts.additionalSecretOutputs,
                (opts.parent ?? "").split("::").at(-1),
            ]),
        );
    }
};

const provider: ResourceValidation = (args, report) => {
    if (["full", "plain", "shelf"].includes(args.name)) {
        const seen = args.provider;
        report(
            seen
                ? JSON.stringify([seen.type, seen.name, seen.urn.split("::")[2], seen.props.region ?? null])
                : "no provider",
        );
    }
};

const run: ResourceValidation = (args, report) => {
    if (args.type === STACK) {
        const tags = [...args.stackTags.entries()].sort();
        const colour = new pulumi.Config("estate").get("colour") ?? null;
        const where = [
            pulumi.getOrganization(),
            pulumi.getProject(),
            pulumi.getStack(),
            pulumi.runtime.isDryRun(),
        ];
        report(JSON.stringify([...where, colour, tags]));
    }
};

const shelves: ResourceValidation = (args) => {
    if (args.type !== SHELF) {
        args.notApplicable("not a shelf");
    }
};

const tells: ResourceValidation = (args, report) => {
    if (args.type === THING && args.props.token) {
        report(`the token is ${args.props.token}!`);
    }
};

const silent: ResourceValidation = () => undefined;

const never: ResourceValidation = () => {
    throw new Error("a disabled policy was called");
};

const first: ResourceValidation = (args, report) => {
    if (args.name === "plain") {
        report("first", "urn:pulumi:dev::estate::test:index:Thing::full");
    }
};

const second: ResourceValidation = async (args, report) => {
    await new Promise((resolve) => setTimeout(resolve, 10));
    if (args.name === "plain") {
        report("second");
    }
};

const files: ResourceValidation = (args, report) => {
    if (args.name === "filed") {
        const { FileArchive, FileAsset, StringAsset } = pulumi.asset;
        const { file, text, files } = args.props;
        report(
            JSON.stringify([FileAsset.isInstance(file), StringAsset.isInstance(text), FileArchive.isInstance(files)]),
        );
    }
};

const links: StackValidation = (args, report) => {
    for (const resource of args.resources) {
        if (resource.type === THING && (resource.dependencies.length > 0 || resource.name === "child")) {
            const after = resource.dependencies.map((other) => other.name).sort();
            const by = Object.keys(resource.propertyDependencies)
                .sort()
                .map((key) => [key, resource.propertyDependencies[key].map((other) => other.name)]);
            report(JSON.stringify([resource.parent!.name, after, by]), resource.urn);
        }
    }
};

const count: StackValidation = (args, report) => {
    const number = args.resources.filter((resource) => resource.type === THING).length;
    report(`${number} things, at most ${args.getConfig<{ most: number }>().most}`);
};

const castles: StackValidation = (args) => {
    args.notApplicable("there are no castles");
};

const fed: StackValidation = (args, report) => {
    for (const resource of args.resources) {
        if (resource.name === "fed" && resource.props.label === "red") {
            report("never");
        }
    }
};

const stackProvider: StackValidation = (args, report) => {
    for (const resource of args.resources) {
        if (resource.name === "full") {
            report(`${resource.provider!.name}, ${JSON.stringify(resource.opts.protect)}`, resource.urn);
        }
    }
};

new PolicyPack(
    "all",
    {
        enforcementLevel: "advisory",
        policies: [
            resource("red", red, "mandatory", {
                severity: "critical",
                framework: { name: "House", version: "1", reference: "2.3", specification: "Colours are quiet." },
                tags: ["colours"],
                remediationSteps: "Paint it.",
                url: "https://example.com/red",
            }),
            resource("owner", owner, "mandatory"),
            resource("size", size, undefined, {
                configSchema: {
                    properties: {
                        most: { type: "integer", minimum: 1, maximum: 10, default: 2 },
                        mode: { type: "string", enum: ["soft", "hard"], default: "soft" },
                        notes: { type: "array", items: { type: "string" } },
                    },
                    required: ["notes"],
                },
            }),
            resource("options", options),
            resource("provider", provider),
            resource("run", run),
            resource("shelves", shelves),
            resource("tells", tells, undefined, { severity: "low" }),
            resource("silent", silent),
            resource("never", never, "disabled"),
            resource("twice", [first, second]),
            resource("files", files),
            stack("links", links),
            stack("count", count, "remediate", { configSchema: { properties: { most: { type: "number" } } } }),
            stack("castles", castles),
            stack("fed", fed, "mandatory"),
            stack("stack-provider", stackProvider),
        ],
    },
    {
        size: { enforcementLevel: "advisory", notes: ["initial"] },
        count: { enforcementLevel: "remediate", most: 5 },
    },
);
