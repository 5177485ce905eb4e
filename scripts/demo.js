/** `npm run demo`: makes the checkout ready, then runs `fewbit demo` with the arguments given. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { ensureReady } from "./setup.js";

ensureReady();
const cli = fileURLToPath(new URL("../bin/fewbit.js", import.meta.url));
const { status } = spawnSync(process.execPath, [cli, "demo", ...process.argv.slice(2)], { stdio: "inherit" });
process.exitCode = status ?? 1;
