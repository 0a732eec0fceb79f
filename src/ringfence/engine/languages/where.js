"use strict";
// Asks a Node process that computes where it is, by its inspector: `node where.js URL`. Prints "path:line:column" of each
// frame, innermost first, in the source that was compiled, as its source map says. Prints nothing where nothing runs.
const { SourceMap } = require("module");
const { fileURLToPath } = require("url");

const scripts = new Map();
const socket = new WebSocket(process.argv[2]);
let next = 0;
const send = (method) => socket.send(JSON.stringify({ id: ++next, method }));

function place(frame) {
    const script = scripts.get(frame.location.scriptId) || {};
    const file = (url) => (url.startsWith("file:") ? fileURLToPath(url) : url);
    const { lineNumber, columnNumber } = frame.location;
    const data = /^data:application\/json[^,]*;base64,(.*)$/.exec(script.sourceMapURL || "");
    if (data) {
        const map = new SourceMap(JSON.parse(Buffer.from(data[1], "base64").toString()));
        const found = map.findEntry(lineNumber, columnNumber);
        if (found.originalSource) {
            return `${file(found.originalSource)}:${found.originalLine + 1}:${found.originalColumn + 1}`;
        }
    }
    return `${file(script.url || "")}:${lineNumber + 1}:${columnNumber + 1}`;
}

socket.addEventListener("open", () => {
    send("Debugger.enable");
    send("Debugger.pause");
    setTimeout(() => process.exit(0), 1500); // it only waits
});
socket.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    if (message.method === "Debugger.scriptParsed") {
        scripts.set(message.params.scriptId, message.params);
    } else if (message.method === "Debugger.paused") {
        console.log(message.params.callFrames.map(place).join("\n"));
        process.exit(0);
    }
});
