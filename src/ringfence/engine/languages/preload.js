"use strict";
// Loaded into the program's process before the SDK's runner. It loads what every program needs; then it waits at standard
// input for the runner's arguments, so that ringfence gets ready meanwhile. What ends the program it writes to a file.
const fs = require("fs");
const keepErrors = require("./keep_errors.js");

const sdk = process.env.RINGFENCE_SDK;
delete process.env.RINGFENCE_SDK;
if (sdk) {
    // Processes and threads that the program starts get this file, too, but not the variable.
    load();
    run(said());
}

function load() {
    try {
        // The SDK sends three debugging messages for each resource, as a call each; nobody here reads them.
        require(sdk + "/cmd/run/instrumentation"); // it wants to be first
        require(sdk + "/log").debug = () => Promise.resolve();
        require(sdk);
        if (process.env.PULUMI_NODEJS_TYPESCRIPT === "true") {
            require(sdk + "/tsutils").typeScriptRequireStrings();
        }
    } catch {
        // Another version of the SDK, or a broken one: the runner loads what it needs, and says what is wrong.
    }
}

function said() {
    const text = everythingFrom(0);
    if (!text) {
        process.exit(1); // there is nothing to run, or ringfence is gone
    }
    return JSON.parse(text);
}

function everythingFrom(descriptor) {
    // Not readFileSync: a part of the SDK touches process.stdin, after which reading does not wait but fails.
    const parts = [];
    const buffer = Buffer.alloc(65536);
    const pause = new Int32Array(new SharedArrayBuffer(4));
    for (;;) {
        let size = 0;
        try {
            size = fs.readSync(descriptor, buffer);
        } catch (error) {
            if (error.code !== "EAGAIN") {
                throw error;
            }
            Atomics.wait(pause, 0, 0, 2); // milliseconds
            continue;
        }
        if (size === 0) {
            return Buffer.concat(parts).toString("utf8");
        }
        parts.push(Buffer.from(buffer.subarray(0, size)));
    }
}

function run({ arguments: words, environment, record, isModule }) {
    process.argv.push(...words);
    Object.assign(process.env, environment);
    keepErrors(record);
    if (isModule) {
        findFramesInModules();
    }
}

function findFramesInModules() {
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
