/** This machine and this program, as reports name them. */
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import type { Engine } from "../engines/contract.ts";
import type { Environment } from "../pipeline/result.ts";

export const VERSION: string = (
  JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string }
).version;

export const environmentOf = ({ name, version }: Pick<Engine, "name" | "version">, threads: number): Environment => ({
  fewbit: VERSION,
  node: process.versions.node,
  engine: `${name} ${version}`.trim(),
  platform: `${process.platform} ${process.arch}`,
  cpu: cpus()[0]?.model.trim() || "unknown",
  threads,
});
