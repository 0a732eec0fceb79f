"use strict";
// Loaded into the program's process before the SDK. It writes what ends the program to a file, as data: the SDK's own
// text for it has colours, no line for some errors, and is cut where an error is large.
const fs = require("fs");

const file = process.env.RINGFENCE_RECORD;
const sdk = process.env.RINGFENCE_SDK;
const isModule = process.env.RINGFENCE_MODULE === "true";
for (const name of ["RINGFENCE_RECORD", "RINGFENCE_SDK", "RINGFENCE_MODULE"]) {
    delete process.env[name];
}

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
        fs.appendFileSync(file, JSON.stringify(entry) + "\n");
    } catch {
        // The error is in the log, too.
    }
}

// The monitor event does not count as handling the exception.
process.on("uncaughtExceptionMonitor", keep);
process.on("unhandledRejection", keep);

try {
    // The SDK sends three debugging messages for each resource, as a call each; nobody here reads them.
    require(sdk + "/cmd/run/instrumentation"); // it wants to be first
    require(sdk + "/log").debug = () => Promise.resolve();
} catch {
    // Another version of the SDK: its messages are dropped where they arrive.
}

if (isModule) {
    // In an ES module the frames of top-level code stand without brackets, and with URLs, which the SDK does not read.
    const { Resource } = require(sdk + "/resource");
    Resource.framePositionRegExp =
        /^\s*at (?:.* \()?(?:async )?(?:file:\/\/)?(?<file>\/.*?):(?<line>[0-9]+):(?<column>[0-9]+)\)?$/;
    // What compiles ES modules runs on another thread, so that the SDK's source maps lack them; Node's own have them.
    const { findSourceMap } = require("module");
    const { fileURLToPath } = require("url");
    process.setSourceMapsEnabled(true);
    require(require.resolve("source-map-support", { paths: [sdk] })).install({
        retrieveSourceMap(source) {
            const found = findSourceMap(source);
            if (!found) {
                return null;
            }
            const sources = found.payload.sources.map((name) => (name.startsWith("file:") ? fileURLToPath(name) : name));
            return { url: source, map: { ...found.payload, sources } };
        },
    });
}
