"use strict";
// Loaded into the process of a policy pack before the SDK. It writes what ends the pack to a file, as data, and lets the
// compiler leave types unchecked, which takes most of the time; the SDK's own runner of packs always checks them.
const path = require("path");
const keepErrors = require("../engine/languages/keep_errors.js");

const { RINGFENCE_PACK_RECORD: record, RINGFENCE_PACK_TRANSPILE: sdk } = process.env;
// Processes and threads that the pack starts get this file, too, but not the variables.
delete process.env.RINGFENCE_PACK_RECORD;
delete process.env.RINGFENCE_PACK_TRANSPILE;

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
    keepErrors(record);
}
if (sdk) {
    transpileOnly();
}
