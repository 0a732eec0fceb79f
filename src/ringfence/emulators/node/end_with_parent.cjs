// Ends this process when its standard input ends, which is when the process that started it has ended.
"use strict";
process.stdin.on("end", () => process.exit(0)).on("error", () => process.exit(0)).resume();
