/** Static schemes below 8 bits: small files, few codes, and still integer kernels. */
import { beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../engines/contract.ts";
import { computeShare } from "../engines/histogram.ts";
import { inMemory } from "../engines/models.case.ts";
import { openOrtNode } from "../engines/ort-node.ts";
import { openOrtWeb } from "../engines/ort-web.ts";
import { withTaps } from "../engines/taps.ts";
import { withGraph, withTensors } from "../ir/edit.ts";
import type { Model, NDArray } from "../ir/model.ts";
import { normalsOf, smallCnn } from "../ir/networks.case.ts";
import type { Plan } from "../ir/plan.ts";
import { bitsOf } from "../ir/scheme.ts";
import { bytesSource, readAll } from "../ir/source.ts";
import { tempScratch } from "../node/scratch.ts";
import { DTYPES, elementCount } from "../numeric/dtypes.ts";
import { unpackSigned } from "../numeric/packing.ts";
import { plainRecipe } from "../recipes/recipe.ts";
import { SCHEMES, schemeNamed } from "../recipes/schemes.ts";
import { tune } from "../recipes/tune.ts";
import { calibrate } from "./calibrate.ts";
import { observedValues } from "./make.ts";
import { planModel } from "./plan.ts";
import { prepare, takeGrids } from "./prepare.ts";
import { quantize } from "./quantize.ts";
import { memoryDataset } from "./samples.ts";

let engines: readonly Engine[];
beforeAll(async () => {
  engines = [(await openOrtNode({ scratch: tempScratch })).engine, (await openOrtWeb()).engine].filter(
    (engine) => engine !== undefined,
  );
});

const normal = normalsOf(5);
const cnn = smallCnn({ side: 12, channels: 32, classes: 10 }, normal);
const images: NDArray = { dtype: "float32", shape: [32, 3, 12, 12], data: normal([32, 3, 12, 12]) };

const LOW = [...SCHEMES.onnx.values()].filter((scheme) => scheme.static !== undefined && scheme.name !== "w8a8");

async function made(scheme = schemeNamed("w4a8")): Promise<{ plan: Plan; model: Model }> {
  const { opset } = scheme;
  const prepared = await prepare(cnn, {}, { static: true, ...(opset === undefined ? {} : { opset }) });
  const plan = planModel(prepared.model, plainRecipe(scheme));
  const names = observedValues(plan);
  const taps = names.filter((name) => name !== "x");
  const session = await engines[0]!.open(await inMemory(withTaps(prepared.model, taps)));
  const stats = await calibrate(session, names, memoryDataset(cnn, { x: images }));
  await session.close();
  return { plan, model: (await quantize(prepared.model, plan, stats)).model };
}

async function run(engine: Engine, model: Model, optimize: "all" | "none") {
  const session = await engine.open(await inMemory(model), { optimize });
  const outputs = await session.run({ x: images });
  await session.close();
  return outputs;
}

const largest = (values: ArrayLike<number>): number => Math.max(...Array.from(values, Math.abs));

describe.each(LOW.map((scheme) => ({ name: scheme.name, scheme })))("$name", ({ scheme }) => {
  const { weights: grid, activations } = scheme.static!;

  it("stores packed codes of its own grid and no others", async () => {
    const { model, plan } = await made(scheme);
    expect(plan.nodes.filter(({ weight }) => weight !== undefined)).toHaveLength(3);
    for (const name of ["w1", "w2", "w3"]) {
      const { dtype, shape, data } = model.graph.tensors.get(`${name}/q`)!;
      const count = elementCount(shape);
      expect(dtype).toBe(grid.dtype);
      expect(data.size).toBe(Math.ceil((count * DTYPES[dtype].bits) / 8));
      const codes = unpackSigned(await readAll(data), DTYPES[grid.dtype].bits as 2 | 4, count);
      const stored = grid.odd ? grid.codes!.map((code) => (code - 1) / 2) : grid.codes;
      expect([Math.min(...codes), Math.max(...codes)]).toEqual(stored);
      expect(model.graph.tensors.has(name)).toBe(false);
    }
  });

  it("runs in integers from end to end, and keeps activations within their codes", async () => {
    const { model, plan } = await made(scheme);
    const share = computeShare((await engines[0]!.opHistogram(await inMemory(model)))!);
    expect(share).toMatchObject({ integer: 3, share: 1 });
    const taps = plan.values.flatMap(({ value, scheme: own }) => {
      const decode = model.graph.nodes.find(({ outputs }) => outputs[0] === value);
      return decode === undefined ? [] : [{ name: decode.inputs[0]!, codes: own.codes ?? [0, 255] }];
    });
    const names = taps.map(({ name }) => name);
    const outputs = await run(engines[0]!, withTaps(model, names), "all");
    expect(taps.some(({ codes }) => String(codes) === String(activations.codes ?? [0, 255]))).toBe(true);
    for (const { name, codes } of taps) {
      const found = outputs[name]!.data as Uint8Array;
      expect(
        found.reduce((a, b) => Math.min(a, b)),
        name,
      ).toBeGreaterThanOrEqual(codes[0]!);
      expect(
        found.reduce((a, b) => Math.max(a, b)),
        name,
      ).toBeLessThanOrEqual(codes[1]!);
    }
  });

  it("computes what its float form does, on every engine", async () => {
    const { model } = await made(scheme);
    const exact = (await run(engines[0]!, model, "none")).y!.data as Float32Array;
    for (const engine of engines) {
      const found = (await run(engine, model, "all")).y!.data as Float32Array;
      const difference = found.map((value, i) => value - exact[i]!);
      // Sums are exact in integers; only their scaling is in float32. Where a scaled sum lies between two codes, kernels
      // may differ by one: behind the average over 36 places that is less than a hundredth of the largest output.
      expect(largest(difference) / largest(exact), engine.name).toBeLessThan(0.01);
    }
  });
});

it("four codes of two bits lie as far above zero as below", async () => {
  const { weights } = schemeNamed("w2a8").static!;
  expect([bitsOf(weights), weights.codes]).toEqual([2, [-3, 3]]);
  const { model } = await made(schemeNamed("w2a8"));
  const at = model.graph.nodes.find(({ op }) => op === "Gather")!;
  const codes = (await run(engines[0]!, withTaps(model, [at.outputs[0]!]), "none"))[at.outputs[0]!]!.data as Int8Array;
  expect([...new Set(codes)].sort((a, b) => a - b)).toEqual([-3, -1, 1, 3]);
});

it("a table of codes that is shorter than the indices into it is refused", async () => {
  const { model } = await made(schemeNamed("w2a8"));
  const [table = ""] = model.graph.nodes.find(({ op }) => op === "Gather")!.inputs;
  const short = { ...model.graph.tensors.get(table)!, shape: [1], data: bytesSource(Uint8Array.of(1)) };
  const damaged = withGraph(model, withTensors(model.graph, [short]));
  expect(await takeGrids(model)).not.toBe(model);
  const refused = /initializer ".*": index (-2|1) into the 1 codes of ".*"/;
  await expect(takeGrids(damaged)).rejects.toThrow(refused);
});

it("what products read has few codes; what comes from outside, sums and pools keep 8 bits", async () => {
  const { plan } = await made(schemeNamed("w2a2"));
  const few = plan.values.filter(({ scheme }) => scheme.codes !== undefined);
  expect(few.map(({ value, scheme }) => [value, scheme.codes])).toEqual(["r1", "g", "f"].map((name) => [name, [0, 3]]));
  expect(plan.values.map(({ value }) => value)).toEqual(expect.arrayContaining(["x", "c2", "r2", "p"]));
});

it("activations of 4 bits take signed codes too", async () => {
  const { plan, model } = await made(tune(schemeNamed("w4a4"), { activations: "symmetric" }));
  const few = plan.values.find(({ scheme }) => scheme.codes !== undefined);
  expect(few!.scheme).toMatchObject({ dtype: "int8", symmetric: true, codes: [-8, 7] });
  const clips = model.graph.nodes.filter(({ op }) => op === "Clip");
  expect(clips.every(({ inputs }) => inputs.length === 3 && inputs[1] !== "")).toBe(true);
  const exact = (await run(engines[0]!, model, "none")).y!.data as Float32Array;
  const found = (await run(engines[0]!, model, "all")).y!.data as Float32Array;
  expect(largest(found.map((value, i) => value - exact[i]!)) / largest(exact)).toBeLessThan(0.01); // as above
});

it("scales of least squared error keep more than scales that cover everything", async () => {
  const exact = (await run(engines[0]!, cnn, "all")).y!.data as Float32Array;
  const error = async (name: string, algorithm: string): Promise<number> => {
    const { model } = await made(tune(schemeNamed(name), { algorithm }));
    const found = (await run(engines[0]!, model, "all")).y!.data as Float32Array;
    return found.reduce((sum, value, i) => sum + (value - exact[i]!) ** 2, 0);
  };
  for (const name of ["w3a8", "w2a8", "w1.58a8"])
    expect(await error(name, "mse")).toBeLessThan(await error(name, "rtn"));
});
