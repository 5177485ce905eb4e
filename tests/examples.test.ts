/** The example programs run, say what they should, and pass the type checker against the built library. */
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeGguf } from "../src/containers/gguf/index.ts";
import { collect } from "../src/ir/source.ts";
import { planTarget, planWeights, quantizeWeights } from "../src/pipeline/weights/index.ts";
import { MODELS } from "../src/pipeline/weights/models.case.ts";
import { chromiumPath, openPage } from "./chromium.case.ts";

const ROOT = resolve(import.meta.dirname, "..");
const folder = mkdtempSync(join(tmpdir(), "fewbit-examples-"));
const run = promisify(execFile);
const GGUF = MODELS.plain!;

/** What an example prints. */
async function output(name: string, ...args: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [join(ROOT, "examples", `${name}.js`), ...args], { cwd: folder });
  return stdout;
}

beforeAll(() => void execFileSync(process.execPath, [join(ROOT, "scripts", "setup.js")]), 300_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the example programs", () => {
  test("pass the type checker", async () => {
    const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
    const checked = run(process.execPath, [tsc, "-p", join(ROOT, "examples", "tsconfig.json")]);
    expect((await checked.catch((error: { stdout: string }) => error)).stdout).toBe("");
  });

  test("quantize-file writes two models and a report, compare-models judges one of them", async () => {
    const text = await output("quantize-file", "out");
    expect(text).toMatch(/^w8a8: 3\.\d+x smaller, .*top-1 9\d\.\d %$/m);
    expect(text).toMatch(/^w4: 3\.\d+x smaller, .*top-1 9\d\.\d %$/m);
    expect(readFileSync(join(folder, "out", "report.html"), "utf8")).toContain("<svg");

    const [reference, candidate] = [join(ROOT, "demo/characters.onnx"), join("out", "characters.w4.onnx")];
    const found = await output("compare-models", reference, candidate);
    expect(found).toMatch(/^own metric: 0\.9\d\d -> 0\.9\d\d$/m);
    expect(found).toMatch(/^agreement: {2}(0\.9\d\d|1\.000)$/m);
  });

  test("step-by-step names every step and ends with a model that runs in integers", async () => {
    const text = await output("step-by-step");
    for (const step of ["prepare", "plan", "calibrate", "quantize", "verify"]) expect(text).toContain(`${step}: `);
    expect(text).toContain("plan: relu (Relu) as qdq");
    expect(text).toContain("100 % of the heavy ops run in integers");
  });

  test("own-rules keeps the layer it was told to and writes a model with its own ranges", async () => {
    const text = await output("own-rules", "own.onnx");
    expect(text).toContain("kept: linear.dense/Gemm (Gemm): the last layer decides");
    expect(text).toMatch(/stem\/Relu\/out: mse \[0\.00, \d\.\d\d\], four-sigma \[0\.00, \d\.\d\d\]/);
    expect(text).toContain(`wrote ${statSync(join(folder, "own.onnx")).size} bytes`);
  });

  test("edit-onnx renames an input and adds metadata", async () => {
    const text = await output("edit-onnx", "edited.onnx");
    expect(text).toContain("byte for byte: true");
    expect(text).toContain('input pixels, metadata {"task":"characters"}');
    expect(statSync(join(folder, "edited.onnx")).size).toBeLessThan(
      statSync(join(ROOT, "demo/characters.onnx")).size + 64,
    );
  });

  test("train-small learns on both engines: what starts as a guess among 26 letters ends far below", async () => {
    for (const engine of ["", "ort-web"]) {
      const [, before, after] = /loss (\S+) -> (\S+) in 160 steps/
        .exec(await output("train-small", engine))!
        .map(Number);
      expect(before!, engine).toBeGreaterThan(2.5);
      expect(after!, engine).toBeLessThan(before! - 1);
    }
  });
});

describe("the browser example", () => {
  const chromium = chromiumPath();
  const servers: ChildProcess[] = [];

  /** Starts the example's server on a free port and answers the page's address. */
  async function serve(): Promise<string> {
    const server = spawn(process.execPath, [join(ROOT, "examples", "browser", "serve.js"), "0"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    servers.push(server);
    for await (const line of server.stdout!) return /http:\S+/.exec(String(line))![0];
    throw new Error("the server said nothing");
  }
  afterAll(() => {
    for (const server of servers) server.kill();
  });

  test("serves the page and nothing outside its folders", async () => {
    const url = await serve();
    expect(await (await fetch(url)).text()).toContain("fewbit in a page");
    for (const path of ["/package.json", "/src/ir/model.ts", "/%zz", "/examples/..%2fpackage.json", "/dist"])
      expect((await fetch(new URL(path, url))).status, path).toBe(404);
  });

  test.skipIf(chromium === undefined)(
    `quantizes the demo's model inside a page${chromium ? "" : " (skipped: no Chromium here; set CHROME_PATH)"}`,
    { timeout: 120_000 },
    async () => {
      const page = await openPage(chromium!, await serve());
      try {
        await page.until(`document.querySelectorAll("#scheme option").length > 10`);
        await page.evaluate(`document.getElementById("demo").click()`);
        await page.until(`document.body.dataset.done === "yes"`);
        const text = String(await page.evaluate(`document.getElementById("log").textContent`));
        const original = statSync(join(ROOT, "demo/characters.onnx")).size;
        expect(text).toMatch(new RegExp(`${original} -> \\d{6} bytes \\(3\\.\\d\\dx\\)`));
        expect(text).toMatch(/top-1 0\.9\d* -> 0\.9/);
        const size = await page.evaluate(
          `fetch(document.getElementById("download").href).then((r) => r.arrayBuffer()).then((b) => b.byteLength)`,
        );
        expect(text).toContain(`-> ${size} bytes`);
      } finally {
        await page.close();
      }
    },
  );

  test.skipIf(chromium === undefined)(
    `quantizes a GGUF model inside a page to the bytes of Node${chromium ? "" : " (skipped: no Chromium here; set CHROME_PATH)"}`,
    { timeout: 120_000 },
    async () => {
      const page = await openPage(chromium!, await serve());
      try {
        await page.until(`document.querySelectorAll("#scheme option").length > 10`);
        const bytes = await collect(encodeGguf(GGUF)[0]!);
        for (const [choice, plan] of [
          ["q4_k_m", planWeights(GGUF, "q4_k_m")],
          ["6.5 bits", await planTarget(GGUF, { bitsPerWeight: 6.5 })],
        ] as const) {
          await page.evaluate(`(() => {
            const bytes = Uint8Array.from(atob("${Buffer.from(bytes).toString("base64")}"), (c) => c.charCodeAt(0));
            const chosen = new DataTransfer();
            chosen.items.add(new File([bytes], "made-up.gguf"));
            document.getElementById("scheme").value = "${choice}";
            const input = document.getElementById("file");
            input.files = chosen.files;
            input.dispatchEvent(new Event("change"));
          })()`);
          await page.until(`document.body.dataset.done === "yes"`);
          const made = await page.evaluate(
            `fetch(document.getElementById("download").href).then((r) => r.arrayBuffer())
              .then((b) => btoa(Array.from(new Uint8Array(b), (x) => String.fromCharCode(x)).join("")))`,
          );
          const { file } = await quantizeWeights(GGUF, plan);
          const expected = Buffer.from(await collect(encodeGguf(file)[0]!));
          expect(Buffer.from(String(made), "base64").equals(expected), choice).toBe(true);
        }
      } finally {
        await page.close();
      }
    },
  );

  test.skipIf(chromium === undefined)(
    `trains inside a page to the bits it trains to in Node${chromium ? "" : " (skipped: no Chromium here; set CHROME_PATH)"}`,
    { timeout: 120_000 },
    async () => {
      const page = await openPage(chromium!, await serve());
      try {
        await page.until(`document.querySelectorAll("#scheme option").length > 10`);
        await page.evaluate(`document.getElementById("train").click()`);
        await page.until(`document.body.dataset.done === "yes"`);
        const text = String(await page.evaluate(`document.getElementById("log").textContent`));
        expect(text).toMatch(/^loss \S+ -> \S+ in 160 steps$/m);
        expect(await output("train-small", "ort-web")).toContain(text.trim());
      } finally {
        await page.close();
      }
    },
  );
});
