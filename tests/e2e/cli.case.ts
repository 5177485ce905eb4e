/** The command line as a person uses it: real services, real engines, real files; only the streams are caught. */
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished } from "vitest";
import type { Io } from "../../src/cli/io.ts";
import { main } from "../../src/cli/main.ts";
import { writeNpy } from "../../src/containers/npy.ts";
import type { Model, NDArray } from "../../src/ir/model.ts";
import { writeModel } from "../../src/node/files.ts";
import type { DType } from "../../src/numeric/dtypes.ts";
import { mulberry } from "./models.case.ts";

/** What one command left behind. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly signal?: AbortSignal;
  /** Hears every piece of text on stderr: progress and notes. */
  readonly onProgress?: (text: string) => void;
}

/** Runs `fewbit ARGV` in this process. */
export async function fewbit(argv: readonly string[], { signal, onProgress }: RunOptions = {}): Promise<Ran> {
  const [out, err]: [string[], string[]] = [[], []];
  const io: Io = {
    stdout: { write: (text) => out.push(text) },
    stderr: {
      write(text) {
        err.push(text);
        onProgress?.(text);
      },
    },
    isTTY: false,
    columns: 100,
    width: Number.POSITIVE_INFINITY,
    color: false,
    signal: signal ?? new AbortController().signal,
  };
  const code = await main(argv, io, { version: "0.0.0", load: () => import("../../src/node/services.ts") });
  return { code, stdout: out.join(""), stderr: err.join("") };
}

/** Any JSON, read without ceremony: the assertions are the types. */
// biome-ignore lint/suspicious/noExplicitAny: shapes are what the tests check
export type Json = any;

/** Runs with `--json` and expects exactly one object on stdout, whatever the exit code. */
export async function fewbitJson(
  argv: readonly string[],
  options?: RunOptions,
): Promise<Ran & { readonly json: Json }> {
  const ran = await fewbit([...argv, "--json"], options);
  return { ...ran, json: JSON.parse(ran.stdout) };
}

/** `fewbit quantize` without a report, expected to succeed. */
export async function quantized(argv: readonly string[]): Promise<Json> {
  const { code, json, stderr } = await fewbitJson(["quantize", ...argv, "--no-report"]);
  expect(code, stderr).toBe(0);
  return json;
}

const newFolder = (): Promise<string> => mkdtemp(join(tmpdir(), "fewbit-e2e-"));
const remove = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true });

/** A folder that is gone after the test. */
export async function workspace(): Promise<string> {
  const folder = await newFolder();
  onTestFinished(() => remove(folder));
  return folder;
}

/** A folder for several tests, asked for outside of them, that is gone after the last. */
export function sharedWorkspace(): { readonly path: () => string } {
  let folder = "";
  beforeAll(async () => {
    folder = await newFolder();
  });
  afterAll(() => remove(folder));
  return { path: () => folder };
}

/** Writes a model into a folder, `model.onnx` unless named; returns its path. */
export async function saved(folder: string, model: Model, name = "model.onnx"): Promise<string> {
  const path = join(folder, name);
  await writeModel(model, path);
  return path;
}

/** Writes an array as `.npy`; returns its path. */
export async function savedArray(folder: string, name: string, array: NDArray): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, writeNpy(array));
  return path;
}

/** Samples drawn from [-1, 1), always the same. */
export function samples(shape: readonly number[], seed = 7): NDArray {
  const next = mulberry(seed);
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => next() * 2 - 1);
  return { dtype: "float32", shape, data };
}

/** Whole numbers from 0 to `below` - 1. */
export function indices(shape: readonly number[], below: number, dtype: DType = "int64"): NDArray {
  const next = mulberry(11);
  const values = Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => Math.floor(next() * below));
  return { dtype, shape, data: dtype === "int64" ? BigInt64Array.from(values, BigInt) : Int32Array.from(values) };
}

/** Every file below a folder with its checksum: equal listings mean that nothing was written, changed or lost. */
export async function listing(folder: string): Promise<Readonly<Record<string, string>>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const rows = entries.map(async (entry) => {
    const path = join(entry.parentPath, entry.name);
    return [path.slice(folder.length + 1), entry.isFile() ? await checksum(path) : "not a file"] as const;
  });
  return Object.fromEntries((await Promise.all(rows)).sort(([a], [b]) => (a < b ? -1 : 1)));
}

export const checksum = async (path: string): Promise<string> =>
  createHash("sha256")
    .update(await readFile(path))
    .digest("hex");

/** Runs a command that must be refused with one clear line, and proves that it left the folder as it was. */
export async function refused(
  folder: string,
  argv: readonly string[],
  code: number,
  message: RegExp,
): Promise<Ran & { readonly json: Json }> {
  const before = await listing(folder);
  const ran = await fewbitJson(argv);
  expect(ran.json.error?.message ?? ran.stdout).toMatch(message);
  expect(ran.code).toBe(code);
  expect(ran.stderr.trim().split("\n").at(-1)).toBe(`fewbit: ${ran.json.error.message}`);
  expect(await listing(folder)).toEqual(before);
  return ran;
}
