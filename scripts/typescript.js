/**
 * Lets threads and processes of the tests run src/ itself, on every Node: `node --import ./scripts/typescript.js FILE.ts`.
 * The thread in which vitest runs is left alone: there vitest loads the modules.
 */
import { register } from "node:module";
import { isMainThread } from "node:worker_threads";

if (!isMainThread || process.env.VITEST === undefined) register("./typescript-hooks.js", import.meta.url);
