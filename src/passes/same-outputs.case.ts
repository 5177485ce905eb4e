/** What every pass must keep: the model is legal and computes the same. Runs on the real engine. */
import { expect } from "vitest";
import { encodeOnnx } from "../containers/onnx/index.ts";
import type { Engine } from "../engines/contract.ts";
import { openOrtNode } from "../engines/ort-node.ts";
import { openOrtWeb } from "../engines/ort-web.ts";
import { assertLegal } from "../ir/check.ts";
import type { Feeds, Model, NDArray, ValueInfo } from "../ir/model.ts";
import { tempScratch } from "../node/scratch.ts";
import { floatsOf } from "../numeric/convert.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { rng } from "../numeric/rng.ts";
import type { Pass, PassContext } from "./pass.ts";

let opened: Promise<Engine> | undefined;

/** The engine tests run on: native where it is installed, WebAssembly otherwise. */
export function testEngine(): Promise<Engine> {
  opened ??= openOrtNode({ scratch: tempScratch }).then(async ({ engine }) => engine ?? (await openOrtWeb()).engine!);
  return opened;
}

export async function bytesOfModel(model: Model): Promise<Uint8Array> {
  const { main } = encodeOnnx(model);
  const out = new Uint8Array(main.size);
  let at = 0;
  for await (const chunk of main.chunks()) {
    out.set(chunk, at);
    at += chunk.byteLength;
  }
  return out;
}

/** Runs a model once, as the engine optimizes it or as it is written. */
export async function run(model: Model, feeds: Feeds, optimize: "all" | "none" = "none", fetches?: readonly string[]) {
  const session = await (await testEngine()).open({ bytes: await bytesOfModel(model) }, { optimize });
  try {
    return await session.run(feeds, fetches);
  } finally {
    await session.close();
  }
}

export const context: PassContext = { evaluate: (model, feeds) => run(model, feeds) };

/** Standard normal numbers for every float32 input; open dimensions get `open`. */
export function normalFeeds(inputs: readonly ValueInfo[], seed = 7, open = 2): Feeds {
  const { normal } = rng(seed);
  const array = ({ shape = [] }: ValueInfo): NDArray => {
    const lengths = shape.map((dim) => (typeof dim === "number" ? dim : open));
    return { dtype: "float32", shape: lengths, data: Float32Array.from({ length: elementCount(lengths) }, normal) };
  };
  return Object.fromEntries(inputs.map((input) => [input.name, array(input)]));
}

export interface SameOptions {
  readonly feeds?: Feeds;
  /** Largest difference allowed, as a share of the output's largest magnitude; 0 = the same numbers. */
  readonly tolerance?: number;
}

/** Largest difference of two arrays over the largest magnitude of the first. */
export function difference(before: NDArray, after: NDArray): number {
  expect([after.dtype, after.shape]).toEqual([before.dtype, before.shape]);
  const [a, b] = [floatsOf(before.data, before.dtype), floatsOf(after.data, after.dtype)];
  let [error, size] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    error = Math.max(error, Math.abs(a[i]! - b[i]!));
    size = Math.max(size, Math.abs(a[i]!));
  }
  return error === 0 ? 0 : error / size;
}

/** Both models are legal, keep input and output names, and give the same outputs. */
export async function expectSame(before: Model, after: Model, { feeds, tolerance = 0 }: SameOptions = {}) {
  assertLegal(after);
  expect(after.graph.inputs.map(({ name }) => name)).toEqual(before.graph.inputs.map(({ name }) => name));
  expect(after.graph.outputs.map(({ name }) => name)).toEqual(before.graph.outputs.map(({ name }) => name));
  const given = feeds ?? normalFeeds(before.graph.inputs);
  const [expected, found] = [await run(before, given), await run(after, given)];
  for (const [name, array] of Object.entries(expected))
    expect(difference(array, found[name]!), name).toBeLessThanOrEqual(tolerance);
}

/** Applies a pass, checks that the model still computes the same, and that a second time changes nothing. */
export async function applied(pass: Pass, model: Model, options: SameOptions = {}): Promise<Model> {
  assertLegal(model);
  const after = await pass.apply(model, context);
  await expectSame(model, after, options);
  expect(await pass.apply(after, context)).toBe(after);
  return after;
}

export const opsOf = (model: Model): readonly string[] => model.graph.nodes.map(({ op }) => op);
