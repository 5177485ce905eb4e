#!/usr/bin/env node
/** Starts the command line. In a checkout, what is missing or stale is installed and built first. */
import { existsSync } from "node:fs";

const setup = new URL("../scripts/setup.js", import.meta.url);
if (existsSync(setup)) (await import(setup.href)).ensureReady();
const { run } = await import("../dist/program/run.js");
await run();
