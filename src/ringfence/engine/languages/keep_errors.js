"use strict";
// Writes what ends a process to a file, as data: the SDK's own text for it has colours, no line for some errors, and is cut
// where an error is large.
const fs = require("fs");

function entryOf(error) {
    try {
        return {
            name: String((error && error.name) || ""),
            message: String(error && error.message !== undefined ? error.message : error),
            stack: String((error && error.stack) || ""),
            plain: Boolean(error && error.__pulumiRunError),
        };
    } catch {
        return { name: "", message: "an error that cannot be shown", stack: "", plain: false };
    }
}

module.exports = function keepErrors(record) {
    const keep = (error) => {
        try {
            fs.appendFileSync(record, JSON.stringify(entryOf(error)) + "\n");
        } catch {
            // The error is in the log, too.
        }
    };
    // The monitor event does not count as handling the exception.
    process.on("uncaughtExceptionMonitor", keep);
    process.on("unhandledRejection", keep);
};
