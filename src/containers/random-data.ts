/** Made-up samples, only ever used when asked for by name; the origin says so. */
import type { NDArray, ValueInfo } from "../ir/model.ts";
import { emptyArray } from "../numeric/convert.ts";
import { DTYPES, type DType, elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { floatToBfloat16, floatToHalf } from "../numeric/half.ts";
import { type Rng, rng } from "../numeric/rng.ts";
import type { Dataset } from "./data.ts";
import type { ArraySource } from "./data-arrays.ts";
import { fixedBatch } from "./data-fit.ts";
import { rowsDataset } from "./data-rows.ts";

/** How many made-up samples, and which. */
export interface RandomOptions {
  /** 32 unless told. */
  readonly samples?: number;
  /** 0 unless told. */
  readonly seed?: number;
}

const DEFAULT_SAMPLES = 32;
/** Lengths for dimensions the model leaves open: of images [samples, channels, height, width], and of anything else. */
const OPEN_IMAGE_LENGTH = 224;
const OPEN_LENGTH = 16;

/** Whole numbers that are likely legal: masks keep all, type ids are few, an index fits all but the smallest tables. */
const INTEGERS: readonly { readonly name: RegExp; readonly low: number; readonly high: number }[] = [
  { name: /mask/i, low: 1, high: 1 },
  { name: /type|segment/i, low: 0, high: 1 },
  { name: /^/, low: 0, high: 9 },
];

type Draw = (random: Rng) => number;

function integers(name: string, dtype: DType): Draw {
  const { low, high } = dtype === "bool" ? { low: 0, high: 1 } : INTEGERS.find((row) => row.name.test(name))!;
  const { bits, min, max } = DTYPES[dtype];
  return bits === 8 && dtype !== "bool"
    ? (random) => random.integer(min, max)
    : (random) => random.integer(low, Math.min(high, max));
}

const FLOATS: Partial<Record<DType, Draw>> = {
  float32: (random) => random.normal(),
  float64: (random) => random.normal(),
  float16: (random) => floatToHalf(random.normal()),
  bfloat16: (random) => floatToBfloat16(random.normal()),
};

function drawFor({ name }: ValueInfo, dtype: DType): Draw {
  const { kind, bits } = DTYPES[dtype];
  const draw = kind === "float" ? FLOATS[dtype] : bits >= 8 && kind !== "complex" ? integers(name, dtype) : undefined;
  return draw ?? fail("unsupported", `random samples of ${dtype} for input "${name}" can't be made; give data`);
}

function sampleShape({ name, shape }: ValueInfo): readonly number[] {
  if (shape === undefined || shape.length === 0)
    return fail("unsupported", `random samples for input "${name}" can't be made: its shape is not known; give data`);
  const open = shape.length === 4 ? OPEN_IMAGE_LENGTH : OPEN_LENGTH;
  return shape.slice(1).map((dim) => (typeof dim === "number" ? dim : open));
}

/** Every sample has a seed of its own, so that it is the same in batches of any size. */
function randomArray(input: ValueInfo, index: number, samples: number, seed: number): ArraySource {
  const dtype = input.dtype ?? "float32";
  const draw = drawFor(input, dtype);
  const sample = sampleShape(input);
  const length = elementCount(sample);
  const fill = (data: ReturnType<typeof emptyArray>, first: number, count: number): void => {
    const wide = DTYPES[dtype].bits === 64 && DTYPES[dtype].kind !== "float";
    for (let i = 0; i < count; i++) {
      const random = rng(
        Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(first + i, 0x85ebca6b) ^ Math.imul(index + 1, 0xc2b2ae35),
      );
      for (let j = 0; j < length; j++) data[i * length + j] = wide ? BigInt(draw(random)) : draw(random);
    }
  };
  const rows = async (first: number, count: number): Promise<NDArray> => {
    const data = emptyArray(dtype, count * length);
    fill(data, first, count);
    return { dtype, shape: [count, ...sample], data };
  };
  return { dtype, shape: [samples, ...sample], where: "random data", rows };
}

/** Standard normal floats and small integers for every input; reproducible by its seed. */
export function randomDataset(inputs: readonly ValueInfo[], options: RandomOptions = {}): Dataset {
  const { samples = DEFAULT_SAMPLES, seed = 0 } = options;
  const batch = fixedBatch(inputs) ?? 1;
  const count = Math.ceil(samples / batch) * batch;
  const columns = inputs.map((input, index) => ({ input, array: randomArray(input, index, count, seed) }));
  return { ...rowsDataset(columns, `random (seed ${seed})`), random: true };
}
