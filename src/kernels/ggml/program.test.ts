import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../../..");

it("the committed WebAssembly is what its sources compile to", { timeout: 300_000 }, () => {
  const check = spawnSync(process.execPath, ["scripts/build-wasm.js", "--check"], { cwd: ROOT, encoding: "utf8" });
  expect(check.stderr).toBe("");
  expect(check.status).toBe(0);
});
