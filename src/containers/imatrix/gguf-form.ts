/** The form that llama-imatrix writes since 2025: GGUF with sums of squares and counts for each tensor. */
import { bytesSource, computedSource, readAll } from "../../ir/source.ts";
import type { MetadataValue, StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { numberOf } from "../../ir/tensor-file.ts";
import { bytesOf, typedView } from "../../numeric/convert.ts";
import { elementCount } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import type { ImportanceEntry, ImportanceMatrix } from "./importance.ts";

const SUMS = ".in_sum2";
const COUNTS = ".counts";
const DATASETS_KEY = "imatrix.datasets";
const CHUNKS_KEY = "imatrix.chunk_count";
const CHUNK_SIZE_KEY = "imatrix.chunk_size";
/** Tokens of a piece of text, where nothing else is known: llama-imatrix's own choice. */
const CHUNK_SIZE = 512;

async function floats({ name, type, data }: StoredTensor): Promise<Float32Array> {
  if (type !== "float32") fail("format", `imatrix: "${name}" is ${type}, expected float32; the file is damaged`);
  return typedView(await readAll(data), "float32") as Float32Array;
}

/** Means of one matrix; one that no token ever reached counts as evenly used, as in llama-quantize. */
function means(sums: Float32Array, count: number, out: Float32Array): void {
  const whole = Math.round(count);
  if (whole > 0) for (let i = 0; i < sums.length; i++) out[i] = sums[i]! / whole;
  else out.fill(1);
}

function entryOf(sums: StoredTensor, counts: StoredTensor): ImportanceEntry {
  const length = elementCount(sums.shape);
  const matrices = elementCount(counts.shape);
  if (matrices === 0 || length === 0 || length % matrices !== 0)
    fail("format", `imatrix: "${sums.name}" has ${length} sums for ${matrices} counts; the file is damaged`);
  return {
    length,
    matrices,
    async read() {
      const [all, used] = [await floats(sums), await floats(counts)];
      const columns = length / matrices;
      const out = new Float32Array(length);
      for (let m = 0; m < matrices; m++) {
        const [from, to] = [m * columns, (m + 1) * columns];
        means(all.subarray(from, to), used[m]!, out.subarray(from, to));
      }
      return out;
    },
  };
}

function datasetsOf({ metadata }: TensorFile): readonly string[] {
  const found = metadata.get(DATASETS_KEY);
  if (found?.type !== "array" || found.of !== "string") return [];
  return found.value.filter((text): text is string => typeof text === "string");
}

/** What a GGUF file holds, read as an importance matrix. */
export function fromGguf(file: TensorFile): ImportanceMatrix {
  const entries = new Map<string, ImportanceEntry>();
  for (const [name, sums] of file.tensors) {
    if (!name.endsWith(SUMS)) continue;
    const own = name.slice(0, -SUMS.length);
    const counts = file.tensors.get(own + COUNTS);
    if (counts === undefined) return fail("format", `imatrix: "${name}" has no "${own}${COUNTS}"; the file is damaged`);
    entries.set(own, entryOf(sums, counts));
  }
  if (entries.size === 0)
    fail("format", `imatrix: the GGUF file has no tensor that ends in "${SUMS}"; it is no importance matrix`);
  const chunks = numberOf(file, CHUNKS_KEY);
  return { datasets: datasetsOf(file), ...(chunks !== undefined && { chunks }), entries };
}

/** Means as sums of one: the two tensors of an entry. */
function tensorsOf(name: string, { length, matrices, read }: ImportanceEntry): readonly StoredTensor[] {
  const bytes = async () => bytesOf(await read());
  const sums = computedSource(length * Float32Array.BYTES_PER_ELEMENT, bytes);
  const counts = bytesSource(bytesOf(new Float32Array(matrices).fill(1)));
  return [
    { name: name + SUMS, type: "float32", shape: [matrices, length / matrices], data: sums },
    { name: name + COUNTS, type: "float32", shape: [matrices, 1], data: counts },
  ];
}

/**
 * An importance matrix in llama-imatrix's form, for `encodeGguf`. llama-quantize reads the same numbers from it: each mean is
 * written as the sum of one sample.
 */
export function imatrixFile({ datasets, chunks = 1, entries }: ImportanceMatrix): TensorFile {
  const metadata: readonly (readonly [string, MetadataValue])[] = [
    ["general.type", { type: "string", value: "imatrix" }],
    [DATASETS_KEY, { type: "array", of: "string", value: datasets }],
    [CHUNKS_KEY, { type: "uint32", value: chunks }],
    [CHUNK_SIZE_KEY, { type: "uint32", value: CHUNK_SIZE }],
  ];
  const tensors = [...entries].flatMap(([name, entry]) => tensorsOf(name, entry));
  return {
    ...{ container: "gguf", formatVersion: 3, metadata: new Map(metadata) },
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
  };
}
