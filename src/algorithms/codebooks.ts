/** Weights as indices into a 16-entry table, scaled by the largest magnitude of each block of the flattened `[n, k]`. */
import type { Codebook, Scheme } from "../ir/scheme.ts";
import { blockMagnitudes, CODE_TABLES, encodeCodebook } from "../kernels/codebook.ts";
import { eachRun, type MatrixShape } from "../kernels/runs.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import type { Codes, Weights } from "./algorithm.ts";
import { matrixOf } from "./groups.ts";

function transposed(values: Float32Array, { n, k }: MatrixShape): Float32Array {
  const rows = new Float32Array(n * k);
  eachRun(values, { n, k, stored: "kn" }, k, (run) => rows.set(run.values.subarray(0, run.count * k), run.at * k));
  return rows;
}

/** Codes of `table`, blocks crossing rows where the reduction axis is no multiple of the group size. */
export function quantizeCodebook(weights: Weights, scheme: Scheme, table: Codebook): Codes {
  const { granularity } = scheme;
  if (granularity.per !== "group") return fail("unsupported", `${table} per ${granularity.per}: expected groups`);
  const { size } = granularity;
  const matrix = matrixOf(weights);
  const count = elementCount(weights.shape);
  const scales = new Float32Array(Math.ceil(count / size));
  const codes = new Uint8Array(Math.ceil(count / 2));
  const across = matrix.k % size !== 0;
  const values = across && matrix.stored === "kn" ? transposed(weights.values, matrix) : weights.values;
  eachRun(values, across ? { n: 1, k: count, stored: "nk" } : matrix, size, (run) => {
    blockMagnitudes(run, scales);
    encodeCodebook(run, size, CODE_TABLES[table], scales, codes);
  });
  return { codes, scales };
}
