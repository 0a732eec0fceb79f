// Adds ten to each size, after the other pack, and says what it is then.

import { PolicyPack } from "@pulumi/policy";

const THING = "test:index:Thing";

new PolicyPack("remedy-typescript", {
    enforcementLevel: "remediate",
    policies: [
        {
            name: "add",
            description: "Sizes grow by ten.",
            remediateResource: async (args) => {
                if (args.type === THING) {
                    args.props.size = args.props.size + 10;
                    return args.props;
                }
            },
        },
        {
            name: "label",
            description: "Labels have a colon.",
            remediateResource: (args) => {
                if (args.type === THING && args.props.label) {
                    args.props.label = `:${args.props.label}`;
                    return args.props;
                }
            },
        },
        {
            name: "off",
            description: "Off.",
            enforcementLevel: "advisory",
            remediateResource: () => {
                throw new Error("a remediation at another level was called");
            },
        },
        {
            name: "seen",
            description: "What it sees.",
            enforcementLevel: "advisory",
            validateResource: (args, report) => {
                if (args.type === THING) {
                    report(`size ${args.props.size}, ${args.props.note}, ${args.props.token}, ${args.props.tags?.inner}`);
                }
            },
        },
    ],
});
