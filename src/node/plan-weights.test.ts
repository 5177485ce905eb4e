/** fewbit quantize for GGUF: sizes, several schemes, several files, and the same as functions. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeGguf, readGguf } from "../containers/gguf/index.ts";
import { imatrixFile } from "../containers/imatrix/index.ts";
import { bytesSource, collect } from "../ir/source.ts";
import { noHooks } from "../pipeline/progress.ts";
import { planTarget, quantizeWeights as quantizeTensors } from "../pipeline/weights/index.ts";
import { importanceFor, MODELS } from "../pipeline/weights/models.case.ts";
import type { SeveralWeightsReport, WeightsQuantizeReport } from "../pipeline/weights/report.ts";
import { blobSource, outputBlob, outputStream } from "../web/blob.ts";
import { planWeights, quantizeWeights } from "./library-weights.ts";
import { openWeights } from "./open-weights.ts";
import type { QuantizeRequest } from "./requests.ts";
import { inspect, plan, quantize, schemes } from "./services.ts";

const folder = mkdtempSync(join(tmpdir(), "fewbit-target-"));
const model = join(folder, "model.gguf");
const imatrix = join(folder, "imatrix.gguf");
beforeAll(async () => {
  writeFileSync(model, await collect(encodeGguf(MODELS.shared!)[0]!));
  writeFileSync(imatrix, await collect(encodeGguf(imatrixFile(importanceFor(MODELS.shared!, 1)))[0]!));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const request = (changes: Partial<QuantizeRequest>): QuantizeRequest => ({
  ...{ model, schemes: [], keep: [], force: false, embeddings: false, threads: 1, command: "test" },
  ...changes,
});

test("a size names the file, is not passed, and a dry run says it to the byte", async () => {
  const wish = request({ ggml: { target: { bytes: 32_000 } } });
  const planned = (await plan(wish, noHooks)) as WeightsQuantizeReport;
  const report = (await quantize(wish, noHooks)) as WeightsQuantizeReport;
  expect(report).toMatchObject({ scheme: "32kB", output: join(folder, "model.32kB.gguf"), target: { size: 32_000 } });
  expect(statSync(report.output!).size).toBe(planned.size.after);
  expect(planned.size.after).toBeLessThanOrEqual(32_000);
  const types = ({ tensors }: WeightsQuantizeReport) => tensors.map(({ name, to }) => [name, to]);
  expect(types(report)).toEqual(types(planned));
});

test("a text and how much may be lost on it are handed on", async () => {
  await expect(quantizeWeights({ model, scheme: "q8_0", maxDrop: 1 })).rejects.toThrow("--max-drop");
  const text = join(folder, "nothing.txt");
  // where no engine is installed that is said first
  await expect(quantizeWeights({ model, scheme: "q8_0", text })).rejects.toThrow(/nothing\.txt|needs an engine/);
});

test("what does not go together with a size is refused", async () => {
  const target = { bitsPerWeight: 6 };
  const wrong = (changes: Partial<QuantizeRequest>) => expect(plan(request(changes), noHooks)).rejects;
  await wrong({ schemes: ["q4_0"], ggml: { target } }).toThrow("leave out -s");
  await wrong({ ggml: { target, types: ["q4_k", "q9"] } }).toThrow("--target-types: there is no type q9");
  await wrong({ schemes: ["q4_0"], ggml: { types: ["q4_k"] } }).toThrow("name one of these too");
  await wrong({ schemes: ["q4_0"], stats: "e.json" }).toThrow("--stats has no meaning");
  await wrong({}).toThrow("or to a size with --target-bpw or --target-size");
});

test("measured errors stay in the file that was named, and another size is planned from them", async () => {
  const stats = join(folder, "errors.json");
  await planWeights({ model, target: { bitsPerWeight: 7 }, stats });
  const saved = JSON.parse(readFileSync(stats, "utf8"));
  const name = "blk.1.ffn_up.weight";
  for (const type of Object.keys(saved.tensors[name].errors))
    saved.tensors[name].errors[type] = type === "q2_k" ? 0 : 1;
  writeFileSync(stats, JSON.stringify(saved));
  const { tensors } = await planWeights({ model, target: { bitsPerWeight: 12 }, stats });
  expect(tensors.find((each) => each.name === name)?.to).toBe("q2_k");
  writeFileSync(stats, "[]");
  await expect(planWeights({ model, target: { bitsPerWeight: 12 }, stats })).rejects.toThrow(
    `"${stats}": measured errors`,
  );
});

test("an interrupted measurement keeps what it has", async () => {
  const stats = join(folder, "interrupted.json");
  const stop = new AbortController();
  const step = {
    tick: (_: unknown, now?: string) => (now === "blk.3.attn_v.weight" ? stop.abort() : undefined),
    done() {},
  };
  const hooks = { progress: { step: () => step, note() {} }, signal: stop.signal };
  await expect(planWeights({ model, target: { bitsPerWeight: 7 }, stats }, hooks)).rejects.toThrow("interrupted");
  const { tensors } = JSON.parse(readFileSync(stats, "utf8"));
  expect(Object.keys(tensors).length).toBeGreaterThan(10);
  expect(tensors["blk.5.attn_v.weight"]).toBeUndefined();
});

test("several schemes make a file each, and what can't be made is said", async () => {
  const output = join(folder, "several");
  const report = (await quantize(
    request({ schemes: ["Q4_K", "q8_0", "iq1_s"], output }),
    noHooks,
  )) as SeveralWeightsReport;
  expect(report.candidates.map(({ scheme }) => scheme)).toEqual(["q4_k_m", "q8_0"]);
  expect(report.refused).toMatchObject([{ scheme: "iq1_s", code: "usage" }]);
  expect(readdirSync(output).sort()).toEqual(["model.q4_k_m.gguf", "model.q8_0.gguf"]);
  for (const { size, output: path } of report.candidates) expect(statSync(path!).size).toBe(size.after);
});

test("one file can't be several, and where no scheme works the first reason is the answer", async () => {
  const wish = { schemes: ["q4_0", "q8_0"], output: join(folder, "one.gguf") };
  await expect(quantize(request(wish), noHooks)).rejects.toThrow("give -o a folder");
  const output = join(folder, "none");
  await expect(quantize(request({ schemes: ["iq1_s", "iq2_xs"], output }), noHooks)).rejects.toThrow("iq1_s needs");
  expect(existsSync(output)).toBe(false);
});

test("schemes tells of each file type what a dry run tells", async () => {
  const listed = await schemes({ model }, noHooks);
  expect(listed.model).toMatchObject({ name: "model.gguf", files: 1 });
  for (const { name, fits, bytes, needsImportance } of listed.schemes) {
    expect(fits, name).toBe(true);
    if (needsImportance)
      await expect(quantizeWeights({ model, scheme: name }), name).rejects.toThrow(/imatrix|importance/);
    else expect((await planWeights({ model, scheme: name })).size.after, name).toBe(bytes);
  }
  expect(listed.schemes.filter(({ needsImportance }) => needsImportance).map(({ name }) => name)).toEqual(
    expect.arrayContaining(["iq1_s", "iq2_xxs", "iq3_xxs", "q2_k_s"]),
  );
});

test("larger models become several files, which are read as one", async () => {
  const output = join(folder, "shards", "out.gguf");
  const {
    files,
    size,
    output: first,
  } = await quantizeWeights({ model, scheme: "q8_0", output, maxShardBytes: 20_000 });
  expect(files.map(({ name }) => name)).toEqual(readdirSync(dirname(output)).sort());
  expect(basename(first!)).toBe(`out-00001-of-0000${files.length}.gguf`);
  expect(files.length).toBeGreaterThan(2);
  expect(files.reduce((sum, each) => sum + each.size, 0)).toBe(size.after);
  for (const each of files) expect(each.size).toBeLessThanOrEqual(20_000);
  const opened = await openWeights(first!);
  const whole = await quantizeWeights({ model, scheme: "q8_0", output: join(folder, "whole.gguf") });
  const one = await readGguf(bytesSource(readFileSync(whole.output!)));
  for (const [name, { data }] of one.tensors)
    expect(await opened.weights.tensors.get(name)!.data.read(0, data.size)).toEqual(await data.read(0, data.size));
  await opened.close();
  expect(await inspect({ model: first! }, noHooks)).toMatchObject({ kind: "weights", tensors: one.tensors.size });
});

test("an importance matrix that was written is read as it was, and allows types below 3 bits", async () => {
  const { tensors, output } = await quantizeWeights({ model, target: { bitsPerWeight: 5 }, imatrix });
  expect(tensors.some(({ to }) => to.startsWith("iq2"))).toBe(true);
  const { metadata } = await readGguf(bytesSource(readFileSync(output!)));
  expect(metadata.get("quantize.imatrix.file")?.value).toBe(imatrix);
  expect(metadata.get("quantize.imatrix.dataset")?.value).toBe("made up.txt");
});

describe("docs/gguf.md", () => {
  const paper = readFileSync(fileURLToPath(new URL("../../docs/gguf.md", import.meta.url)), "utf8");
  const [files, page] = [...paper.matchAll(/^```js\n([\s\S]*?)^```/gm)].map(([, code]) =>
    code!.replaceAll(/^import .*\n/gm, ""),
  );
  const AsyncFunction = (async () => {}).constructor as new (...parts: string[]) => (...values: unknown[]) => unknown;

  test("its example for files writes what it says", async () => {
    const said: unknown[][] = [];
    const log = (...words: unknown[]) => void said.push(words);
    const code = files!.replace('"model.gguf"', JSON.stringify(model));
    await new AsyncFunction("planWeights", "quantizeWeights", "console", code)(planWeights, quantizeWeights, { log });
    const [[planned], [output, bits]] = said as [[number], [string, number]];
    expect(statSync(output).size).toBeLessThanOrEqual(planned);
    expect(bits).toBeLessThanOrEqual(6);
  });

  test("its example for pages makes a file of the size it asks for", async () => {
    const steps = { planTarget, quantizeWeights: quantizeTensors };
    const named = { encodeGguf, ...steps, readGguf, blobSource, outputBlob };
    const code = `${page!.replace("900e6", "30_000")}; return blob;`;
    const file = new Blob([readFileSync(model)]);
    const blob = await new AsyncFunction("file", ...Object.keys(named), code)(file, ...Object.values(named));
    const bytes = new Uint8Array(await (blob as Blob).arrayBuffer());
    expect(bytes.length).toBeLessThanOrEqual(30_000);
    expect((await readGguf(bytesSource(bytes))).tensors.size).toBe(MODELS.shared!.tensors.size);
    const streamed = await new Response(outputStream(encodeGguf(await readGguf(blobSource(file)))[0]!)).arrayBuffer();
    expect(Buffer.from(streamed).equals(readFileSync(model))).toBe(true);
  });
});
