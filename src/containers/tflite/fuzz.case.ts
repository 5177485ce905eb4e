/** Damaged TFLite files and what becomes of them; for the fuzzer and for a short run of it among the tests. */
import type { Graph, Model, Tensor } from "../../ir/model.ts";
import { type ByteSource, bytesSource } from "../../ir/source.ts";
import { byteLength, elementCount } from "../../numeric/dtypes.ts";
import { FewbitError } from "../../numeric/errors.ts";
import { type Rng, rng } from "../../numeric/rng.ts";
import { checkTflite } from "./check.ts";
import { damagedTree } from "./fuzz-trees.case.ts";
import { bytesOf, MODELS } from "./models.case.ts";
import { readTables, readTflite } from "./read.ts";
import type { Table } from "./schema.ts";

/** Longest axis of a constant in a seed. */
const SHORT = 3;

function shrunk(tensor: Tensor): Tensor {
  const shape = tensor.shape.map((dim) => Math.min(dim, SHORT));
  const { quantization, dtype } = tensor;
  const { axis, qparams } = quantization ?? {};
  const { scale, zeroPoint } = qparams ?? {};
  const data = bytesSource(new Uint8Array(byteLength(dtype, elementCount(shape))));
  const short = axis !== undefined &&
    scale &&
    zeroPoint && {
      quantization: {
        axis,
        qparams: { scale: scale.slice(0, shape[axis]), zeroPoint: zeroPoint.slice(0, shape[axis]) },
      },
    };
  return { ...tensor, shape, data, ...short };
}

/** The same model with constants of a few bytes, so that damage hits its structure. */
export function withSmallConstants(model: Model): Model {
  const tensors = new Map([...model.graph.tensors].map(([name, tensor]) => [name, shrunk(tensor)]));
  const graph: Graph = { ...model.graph, tensors };
  return { ...model, graph };
}

/** A file to damage, as bytes and as what it says. */
export interface Seed {
  readonly bytes: Uint8Array;
  readonly table: Table<"Model">;
}

const seedOf = async (bytes: Uint8Array): Promise<Seed> => ({
  bytes,
  table: (await readTables(bytesSource(bytes))).root,
});

/** Files to damage: models built in code, real ones with small constants, and the real ones themselves, more rarely. */
export async function seedsOf(real: readonly Uint8Array[]): Promise<readonly Seed[]> {
  const built: Uint8Array[] = [];
  for (const make of Object.values(MODELS)) built.push(await bytesOf(make()));
  const small: Uint8Array[] = [];
  for (const bytes of real) small.push(await bytesOf(withSmallConstants(await readTflite(bytesSource(bytes)))));
  const some = await Promise.all([...built, ...small].map(seedOf));
  const whole = await Promise.all(real.map(seedOf));
  return [...some, ...some, ...some, ...some, ...some, ...whole];
}

type Mutation = (bytes: Uint8Array, random: Rng, seeds: readonly Seed[]) => Uint8Array;

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const times = (random: Rng, most: number, act: () => void): void => {
  for (let left = random.integer(1, most); left > 0; left--) act();
};

/** Structure is at the beginning of files that fewbit wrote and all over those of others. */
const NEAR = 4096;
const place = (bytes: Uint8Array, random: Rng, width: number): number => {
  const last = bytes.length - width;
  const most = random.uniform() < 0.7 ? Math.min(last, NEAR) : last;
  return Math.floor(random.integer(0, Math.max(0, most)) / width) * width;
};

const EXTREMES = [0, 1, 2, 3, 4, 8, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];

const flipBits: Mutation = (bytes, random) => {
  const damaged = bytes.slice();
  times(random, 8, () => {
    const at = place(damaged, random, 1);
    damaged[at] = damaged[at]! ^ (1 << random.integer(0, 7));
  });
  return damaged;
};

const truncate: Mutation = (bytes, random) => bytes.slice(0, random.integer(0, bytes.length - 1));

const setExtremes: Mutation = (bytes, random) => {
  const damaged = bytes.slice();
  times(random, 3, () => {
    const value = EXTREMES[random.integer(0, EXTREMES.length - 1)]!;
    if (random.uniform() < 0.3) viewOf(damaged).setUint16(place(damaged, random, 2), value & 0xffff, true);
    else viewOf(damaged).setUint32(place(damaged, random, 4), value, true);
  });
  return damaged;
};

/** Makes one reference lead where another one does: tables reached twice, in a circle, or as another type. */
const crossReferences: Mutation = (bytes, random) => {
  const damaged = bytes.slice();
  const view = viewOf(damaged);
  times(random, 3, () => {
    const [from, to] = [place(damaged, random, 4), place(damaged, random, 4)];
    const target = random.uniform() < 0.5 ? to : to + view.getUint32(to, true);
    view.setUint32(from, target - from, true);
  });
  return damaged;
};

/** Copies a part of another file, in place or in between. */
const splice: Mutation = (bytes, random, seeds) => {
  const other = seeds[random.integer(0, seeds.length - 1)]!.bytes;
  const length = Math.min(4 * random.integer(1, 64), bytes.length, other.length);
  const from = place(other, random, 4);
  const part = other.subarray(from, Math.min(other.length, from + length));
  const at = place(bytes, random, 4);
  const skip = random.uniform() < 0.7 ? part.length : 0;
  const rest = bytes.subarray(Math.min(bytes.length, at + skip));
  const damaged = new Uint8Array(at + part.length + rest.length);
  damaged.set(bytes.subarray(0, at));
  damaged.set(part, at);
  damaged.set(rest, at + part.length);
  return damaged;
};

const MUTATIONS: readonly Mutation[] = [
  flipBits,
  truncate,
  setExtremes,
  crossReferences,
  splice,
  setExtremes,
  crossReferences,
];

/** Share of files that are sound flatbuffers and say something wrong. */
const TREES = 0.3;

/** The damaged file of a number: the same for the same number and seeds. */
export async function damagedFile(number: number, seeds: readonly Seed[]): Promise<Uint8Array> {
  const random = rng(number + 1);
  const [seed, other] = [0, 1].map(() => seeds[random.integer(0, seeds.length - 1)]!) as [Seed, Seed];
  if (random.uniform() < TREES) return damagedTree(seed.table, other.table, random);
  return MUTATIONS[random.integer(0, MUTATIONS.length - 1)]!(seed.bytes, random, seeds);
}

/** A source as files are: read in parts, not in memory. */
const asFile = (bytes: Uint8Array): ByteSource => {
  const { size, read } = bytesSource(bytes);
  return { size, seekable: true, read: read.bind({ size }) };
};

/** What became of a file. */
export type Outcome = "verified" | "newer" | FewbitError["code"];

/**
 * Reads a file and writes it anew: "verified" when what was written can be read again, else the code of the error that
 * refused it. Throws whatever else happens, also when a model that passed the check can't be written or read again.
 */
export async function outcomeOf(bytes: Uint8Array, isFile: boolean): Promise<Outcome> {
  let model: Model;
  try {
    model = await readTflite(isFile ? asFile(bytes) : bytesSource(bytes));
  } catch (error) {
    if (error instanceof FewbitError) return error.code;
    throw error;
  }
  const complaints = checkTflite(model);
  if (complaints.length > 0) throw new Error(`read, but not legal: ${complaints.join("; ")}`);
  let anew: Uint8Array;
  try {
    anew = await bytesOf({ ...model });
  } catch (error) {
    if (error instanceof FewbitError && error.code === "unsupported") return "newer";
    throw error;
  }
  await readTflite(bytesSource(anew));
  return "verified";
}
