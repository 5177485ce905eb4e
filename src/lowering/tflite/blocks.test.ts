import { expect, test } from "vitest";
import { encodeTflite } from "../../containers/tflite/index.ts";
import { openLitert } from "../../engines/litert.ts";
import { floatTensor, node, tfliteModel, valueInfo } from "../../ir/build.ts";
import type { Tensor } from "../../ir/model.ts";
import { collect, readAll } from "../../ir/source.ts";
import { loadLitert } from "../../node/litert.ts";
import { decodeFloats, encodeFloats } from "../../numeric/convert.ts";
import { unpackSigned } from "../../numeric/packing.ts";
import { rng } from "../../numeric/rng.ts";
import { blockedWeight, blockScales } from "./blocks.ts";

const ROWS = 5;
const COLUMNS = 256;

const weightsOf = (scale: number): Tensor => {
  const random = rng(3);
  return floatTensor(
    "w",
    [ROWS, COLUMNS],
    Float32Array.from({ length: ROWS * COLUMNS }, () => scale * random.normal()),
  );
};

const blocked = (tensor: Tensor, size: number) =>
  blockedWeight(
    tensor,
    {
      ...{ tensor: "w", input: 1, shape: tensor.shape, axis: 0, algorithm: "mse", bytes: { before: 0, after: 0 } },
      scheme: { dtype: "int4", symmetric: true, granularity: { per: "group", size }, codes: [-7, 7] },
    },
    size,
    { codes: "w", scales: "w/scales" },
  );

/** What the codes stand for. */
async function decoded({ codes, scales }: Awaited<ReturnType<typeof blocked>>, size: number): Promise<Float32Array> {
  const steps = decodeFloats(await readAll(scales.data), "float16");
  const numbers = unpackSigned(await readAll(codes.data), 4, ROWS * COLUMNS);
  return Float32Array.from(numbers, (code, i) => code * steps[Math.floor(i / size)]!);
}

async function product(weight: readonly Tensor[], x: Float32Array): Promise<Float32Array> {
  const { engine, reason } = await openLitert({ load: loadLitert });
  if (engine === undefined) throw new Error(reason);
  const model = tfliteModel({
    inputs: [valueInfo("x", "float32", [1, COLUMNS])],
    outputs: [valueInfo("y", "float32", [1, ROWS])],
    nodes: [node("FULLY_CONNECTED", ["x", "w"], ["y"], { attributes: { fused_activation_function: "NONE" } })],
    tensors: weight,
  });
  const session = await engine.open({ bytes: await collect(encodeTflite(model).main) });
  const made = (await session.run({ x: { dtype: "float32", shape: [1, COLUMNS], data: x } })).y!;
  await session.close();
  return made.data as Float32Array;
}

// from weights whose scales are at the lower end of what halves hold to such at the upper
test.each([
  [32, 1],
  [64, 1e-3],
  [128, 1e4],
  [256, 1],
])("LiteRT multiplies blocks of %i by exactly the weights that the file stands for, %d large", async (size, scale) => {
  const made = await blocked(weightsOf(scale), size);
  const weights = await decoded(made, size);
  // whole numbers from 0 to 255, both among them: the kernel's own grid has a step of 1 for them and loses nothing
  const x = Float32Array.from({ length: COLUMNS }, (_, i) => (i * 37) % 256);
  const wanted = Array.from({ length: ROWS }, (_, row) =>
    x.reduce((sum, v, i) => sum + v * weights[row * COLUMNS + i]!, 0),
  );
  const found = await product([made.codes, made.scales], x);
  // the kernel adds up to eight blocks in float32
  for (const [row, value] of wanted.entries())
    expect(Math.abs(found[row]! - value)).toBeLessThan(1e-6 * scale * COLUMNS * 255);
});

test("scales have the 8 significant bits of a bfloat16, within 1/256 of what was wanted, and are halves", () => {
  const wanted = Float32Array.of(1, 1.003, 0.7, 3e-5, 1e-9, 0, 60_000);
  const scales = blockScales(wanted);
  expect(decodeFloats(encodeFloats(scales, "float16"), "float16")).toEqual(scales);
  for (const [i, scale] of scales.entries()) {
    expect(new Uint32Array(Float32Array.of(scale).buffer)[0]! & 0xffff).toBe(0);
    if (wanted[i]! > 1e-5) expect(Math.abs(scale / wanted[i]! - 1)).toBeLessThanOrEqual(1 / 256);
    else expect(scale).toBeGreaterThan(0);
  }
});

test("weights too large for scales of 16 bits are refused by name", async () => {
  await expect(blocked(weightsOf(1e7), 32)).rejects.toThrow(/weight "w": a scale of .* is no float16/);
});
