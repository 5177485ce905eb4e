/** Folders of safetensors whose making was killed: the next run goes on, gives the same bytes, and keeps nothing that is wrong. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test, vi } from "vitest";
import { encodeSafetensors } from "../containers/safetensors/index.ts";
import { bytesSource, collect } from "../ir/source.ts";
import type { StoredTensor } from "../ir/tensor-file.ts";
import { encodeFloats } from "../numeric/convert.ts";
import { rng } from "../numeric/rng.ts";
import { type Hooks, silent } from "../pipeline/progress.ts";
import type { QuantizeRequest } from "./requests.ts";
import { inResumableFolder, JOURNAL } from "./resumable-folder.ts";
import { quantize } from "./services.ts";

const disk = vi.hoisted(() => ({ free: 1e15 }));
vi.mock(import("node:fs/promises"), async (original) => {
  const real = await original();
  const statfs = async () => ({ bavail: disk.free, bsize: 1, blocks: 1 });
  return { ...real, statfs: statfs as unknown as typeof real.statfs };
});

const root = mkdtempSync(join(tmpdir(), "fewbit-resumable-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const random = rng(5);
const POOL = Float32Array.from({ length: 1 << 20 }, () => random.normal() * 0.05);

function tensor(name: string, shape: readonly number[], from = 0): StoredTensor {
  const values = POOL.subarray(from, from + shape.reduce((product, length) => product * length, 1));
  return { name, type: "bfloat16", shape, data: bytesSource(encodeFloats(values, "bfloat16")) };
}

/** 13 MB, which is work for two threads. */
const TENSORS = [
  tensor("model.embed_tokens.weight", [256, 2048]),
  ...[0, 1, 2, 3, 4, 5].map((i) => tensor(`model.layers.${i}.mlp.down_proj.weight`, [500, 2048], i)),
  tensor("model.norm.weight", [2048]),
];

async function makeSource(folder: string): Promise<void> {
  mkdirSync(join(folder, "extra"), { recursive: true });
  const tensors = new Map(TENSORS.map((one) => [one.name, one]));
  const file = { container: "safetensors", formatVersion: 1, metadata: new Map(), tensors } as const;
  for (const part of encodeSafetensors(file, { maxBytes: 4_000_000 }))
    writeFileSync(join(folder, part.name), await collect(part));
  for (const name of ["config.json", "extra/a.json", "generation_config.json", "tokenizer.json"])
    writeFileSync(join(folder, name), `{ "model_type": "llama", "name": "${name}" }`);
}

const SOURCE = join(root, "source");
await makeSource(SOURCE);

interface Place {
  readonly folder: string;
  readonly model: string;
  readonly output: string;
}

function newPlace(): Place {
  const folder = mkdtempSync(join(root, "place"));
  const model = join(folder, "model");
  cpSync(SOURCE, model, { recursive: true });
  return { folder, model, output: join(folder, "out") };
}

/** Quantizes; returns what was noted. */
async function make({ model, output }: Place, changes: Partial<QuantizeRequest> = {}, hooks: Partial<Hooks> = {}) {
  const notes: string[] = [];
  const progress = { ...silent, note: (text: string) => void notes.push(text) };
  await quantize(
    {
      ...{ model, output, schemes: ["w4"], keep: [], force: false, embeddings: false, encoders: 1 },
      ...{ threads: 1, command: "" },
      ...changes,
    },
    { progress, signal: new AbortController().signal, ...hooks },
  );
  return notes;
}

/** Sums of all files below a folder. */
const filesOf = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true })
      .map(String)
      .sort()
      .filter((name) => statSync(join(folder, name)).isFile())
      .map((name) => [
        name,
        createHash("sha256")
          .update(readFileSync(join(folder, name)))
          .digest("hex"),
      ]),
  );

async function unbroken(changes?: Partial<QuantizeRequest>): Promise<Record<string, string>> {
  const place = newPlace();
  expect(await make(place, changes)).toEqual([]);
  return filesOf(place.output);
}

const EXPECTED = await unbroken();

const LOADER = new URL("../../scripts/typescript.js", import.meta.url).href;
const SCRIPT = fileURLToPath(new URL("./quantize-safetensors.case.ts", import.meta.url));

/** Runs a process that kills itself; returns the unfinished folder. */
function killed({ folder, model, output }: Place, moment: string, threads = 1): string {
  const { VITEST: _, ...env } = process.env;
  const args = ["--import", LOADER, SCRIPT, model, output, String(threads), moment];
  const { signal, stderr } = spawnSync(process.execPath, args, { env, encoding: "utf8" });
  expect(signal, stderr).toBe("SIGKILL");
  const left = readdirSync(folder).filter((name) => name !== "model");
  expect(left).toEqual([expect.stringMatching(/^\.fewbit-.*\.part$/)]);
  return join(folder, left[0]!);
}

/** Goes on, which gives the files of an unbroken run and leaves nothing else; returns the share that was there. */
async function goneOnWith(place: Place, threads = 1, expected = EXPECTED): Promise<number | undefined> {
  const notes = await make(place, { encoders: threads });
  expect(filesOf(place.output)).toEqual(expected);
  expect(readdirSync(place.folder).sort()).toEqual(["model", "out"]);
  const [, share] = /^going on with a run that was killed; (\d+) % of out is there$/.exec(notes[0] ?? "") ?? [];
  return share === undefined ? undefined : Number(share);
}

test.each([
  ["2", 1],
  ["8", 1],
  ["2", 2],
  ["8", 2],
])("a process that is killed after %s MB, with %d threads", async (megabytes, threads) => {
  const place = newPlace();
  killed(place, megabytes, threads);
  const share = await goneOnWith(place, 3 - threads);
  expect(share).toBeGreaterThan(0);
  if (megabytes === "2") expect(share).toBeLessThan(100);
});

test.each([
  ["reading", 1],
  ["copying", 2],
])("a process that is killed while %s, with %d threads", async (moment, threads) => {
  const place = newPlace();
  const staged = killed(place, moment, threads);
  expect(existsSync(join(staged, "extra/a.json"))).toBe(moment === "copying");
  expect(await goneOnWith(place, threads)).toBe(100);
});

const WHOLE = newPlace();
const WHOLE_STAGED = killed(WHOLE, "reading");
const SAVED = join(root, "saved");
cpSync(WHOLE_STAGED, SAVED, { recursive: true });

/** Brings the unfinished folder of `WHOLE` back, in which all pieces are. */
function restored(): string {
  rmSync(WHOLE.output, { recursive: true, force: true });
  cpSync(SAVED, WHOLE_STAGED, { recursive: true });
  return WHOLE_STAGED;
}

const SHARD = Object.keys(EXPECTED).find((name) => name.endsWith(".safetensors"))!;

const change = (path: string, from: number, to: number): void =>
  writeFileSync(path, readFileSync(path).fill(7, from, to));

test.each<[string, number | undefined, (staged: string) => void]>([
  ["content", 100, (staged) => change(join(staged, SHARD), 5_000, 2_000_000)],
  ["a header", 100, (staged) => change(join(staged, SHARD), 0, 100)],
  ["a file that is too short", 100, (staged) => truncateSync(join(staged, SHARD), 1_000_000)],
  ["a file that is too long", 100, (staged) => truncateSync(join(staged, SHARD), 9_000_000)],
  ["a file that is missing", 100, (staged) => rmSync(join(staged, SHARD))],
  ["entries of the journal", 84, (staged) => change(join(staged, JOURNAL), 48 + 24, 48 + 24 * 5)],
  ["the head of the journal", undefined, (staged) => change(join(staged, JOURNAL), 20, 25)],
  ["a journal that is too short", undefined, (staged) => truncateSync(join(staged, JOURNAL), 100)],
  ["no journal", undefined, (staged) => rmSync(join(staged, JOURNAL))],
])("what of an unfinished folder is damaged is made again: %s", async (_, share, damage) => {
  damage(restored());
  expect(await goneOnWith(WHOLE, 2)).toBe(share);
});

test("files that a killed process was copying, and others, are not kept", async () => {
  const place = newPlace();
  const staged = killed(place, "copying");
  mkdirSync(join(staged, "old"));
  writeFileSync(join(staged, "old/a.json"), "{");
  writeFileSync(join(staged, "tokenizer.json"), `{ "half": `, { mode: 0o400 });
  writeFileSync(join(staged, "model-00009-of-00009.safetensors"), "");
  rmSync(join(place.model, "extra"), { recursive: true });
  const { "extra/a.json": _, ...expected } = EXPECTED;
  expect(await goneOnWith(place, 1, expected)).toBe(100);
});

test.each<Partial<QuantizeRequest>>([{ groupSize: 32 }, { algorithm: "rtn" }, { schemes: ["w8"] }])(
  "an unfinished folder of another plan is replaced: %j",
  async (changes) => {
    restored();
    expect(await make(WHOLE, changes)).toEqual([]);
    expect(filesOf(WHOLE.output)).toEqual(await unbroken(changes));
    expect(readdirSync(WHOLE.folder).sort()).toEqual(["model", "out"]);
  },
);

test("an unfinished folder of a model that was changed since is replaced", async () => {
  const place = newPlace();
  killed(place, "reading");
  const shard = readdirSync(place.model).find((name) => name.endsWith(".safetensors"))!;
  utimesSync(join(place.model, shard), 1e9, 1e9);
  expect(await goneOnWith(place)).toBeUndefined();
});

test("an unfinished folder of another output stays until that is asked for", async () => {
  restored();
  const other = { ...WHOLE, output: join(WHOLE.folder, "other") };
  expect(await make(other)).toEqual([]);
  rmSync(other.output, { recursive: true });
  expect(await goneOnWith(WHOLE)).toBe(100);
});

test("an interrupted run leaves nothing of what it went on with", async () => {
  restored();
  const stop = new AbortController();
  const step = (title: string) => {
    if (title.startsWith("reading")) stop.abort();
    return { tick() {}, done() {} };
  };
  const hooks = { progress: { step, note() {} }, signal: stop.signal };
  await expect(make(WHOLE, {}, hooks)).rejects.toMatchObject({ code: "cancelled" });
  expect(readdirSync(WHOLE.folder)).toEqual(["model"]);
});

test("of several that would go on with a folder one does", async () => {
  restored();
  let found = 0;
  const work = async (folder: string): Promise<never> => {
    if (existsSync(join(folder, JOURNAL))) found++;
    throw new Error("seen");
  };
  await Promise.allSettled([1, 2, 3].map(() => inResumableFolder(WHOLE.output, work)));
  expect(found).toBe(1);
  expect(readdirSync(WHOLE.folder)).toEqual(["model"]);
});

test("space is wanted for what is not there yet", async () => {
  const other = newPlace();
  restored();
  disk.free = 100_000;
  try {
    await expect(make(other)).rejects.toThrow(/has 100000 bytes free, but the model needs/);
    expect(await goneOnWith(WHOLE)).toBe(100);
  } finally {
    disk.free = 1e15;
  }
  expect(readdirSync(other.folder)).toEqual(["model"]);
});
