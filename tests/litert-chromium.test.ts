/** LiteRT inside a page gives the bits it gives in Node. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { quantized, tfliteBytes } from "../src/engines/contract-tflite.case.ts";
import { availableEngines } from "../src/node/engines.ts";
import { chromiumPath, openPage } from "./chromium.case.ts";

const ROOT = resolve(import.meta.dirname, "..");
const chromium = chromiumPath();
const servers: ChildProcess[] = [];

async function serve(): Promise<string> {
  const args = [join(ROOT, "examples", "browser", "serve.js"), "0"];
  const server = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  servers.push(server);
  for await (const line of server.stdout!) return /http:\S+/.exec(String(line))![0];
  throw new Error("the server said nothing");
}

beforeAll(() => {
  if (chromium) execFileSync(process.execPath, [join(ROOT, "scripts", "setup.js")]);
}, 300_000);
afterAll(() => {
  for (const server of servers) server.kill();
});

const VALUES = [0.3, -1.2, 2.5, 12.7];

/** What the page does: opens the model, runs it on two rows, and says what came out and which globals it left. */
const script = (model: Uint8Array): string => `(async () => {
  const before = new Set(Object.keys(globalThis));
  const { litertFrom, openLitert } = await import("fewbit/web");
  const { engine, reason } = await openLitert({ load: litertFrom("/node_modules/@litertjs/core/wasm/") });
  if (!engine) throw new Error(reason);
  const session = await engine.open({ bytes: Uint8Array.from(atob("${Buffer.from(model).toString("base64")}"), (c) => c.charCodeAt(0)) });
  const { y } = await session.run({ x: { dtype: "float32", shape: [2, 4], data: Float32Array.of(${[...VALUES, ...VALUES].join()}) } });
  await session.close();
  return { values: [...y.data], shape: y.shape, globals: Object.keys(globalThis).filter((name) => !before.has(name)) };
})()`;

test.skipIf(chromium === undefined)(
  `LiteRT runs an int8 model inside a page${chromium ? "" : " (skipped: no Chromium here; set CHROME_PATH)"}`,
  { timeout: 120_000 },
  async () => {
    const { bytes } = await tfliteBytes(quantized);
    const { engine } = await availableEngines({ container: "tflite" });
    const session = await engine.open({ bytes });
    const { y } = await session.run({
      x: { dtype: "float32", shape: [2, 4], data: Float32Array.of(...VALUES, ...VALUES) },
    });
    await session.close();
    const page = await openPage(chromium!, await serve());
    try {
      await page.until(`document.querySelectorAll("#scheme option").length > 10`);
      expect(await page.evaluate(script(bytes))).toEqual({
        values: Array.from(y!.data, Number),
        shape: [2, 4],
        globals: [],
      });
    } finally {
      await page.close();
    }
  },
);
