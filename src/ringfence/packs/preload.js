"use strict";
// Loaded into the process of a policy pack before the SDK. It writes what ends the pack to a file, as data, and lets the
// compiler leave types unchecked, which takes most of the time; the SDK's own runner of packs always checks them.
const fs = require("fs");
const path = require("path");

const { RINGFENCE_PACK_RECORD: record, RINGFENCE_PACK_TRANSPILE: sdk } = process.env;
// Processes and threads that the pack starts get this file, too, but not the variables.
delete process.env.RINGFENCE_PACK_RECORD;
delete process.env.RINGFENCE_PACK_TRANSPILE;

function keep(error) {
    let entry;
    try {
        entry = {
            name: String((error && error.name) || ""),
            message: String(error && error.message !== undefined ? error.message : error),
            stack: String((error && error.stack) || ""),
            plain: Boolean(error && error.__pulumiRunError),
        };
    } catch {
        entry = { name: "", message: "an error that cannot be shown", stack: "", plain: false };
    }
    try {
        fs.appendFileSync(record, JSON.stringify(entry) + "\n");
    } catch {
        // The error is in the log, too.
    }
}

function transpileOnly() {
    // Where the SDK looks for it: beside itself, else among what it brings along.
    for (const name of ["ts-node", path.join(sdk, "vendor", "ts-node@7.0.1")]) {
        try {
            const compiler = require(require.resolve(name, { paths: [sdk] }));
            const register = compiler.register;
            compiler.register = (options) => register({ ...options, typeCheck: false, transpileOnly: true });
            return;
        } catch {
            // The SDK will say what is wrong with it.
        }
    }
}

if (record) {
    // The monitor event does not count as handling the exception.
    process.on("uncaughtExceptionMonitor", keep);
    process.on("unhandledRejection", keep);
}
if (sdk) {
    transpileOnly();
}
