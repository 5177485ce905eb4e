/** Models and reference arithmetic for the tests of the weight-only forms. */
import type { Codes } from "../algorithms/algorithm.ts";
import { blockGrid } from "../algorithms/groups.ts";
import { algorithmNamed } from "../algorithms/index.ts";
import { tensor } from "../ir/build.ts";
import { graphs, nodeLabel } from "../ir/edit.ts";
import type { Model, NDArray, Tensor } from "../ir/model.ts";
import type { Form, NodePlan } from "../ir/plan.ts";
import type { Scheme } from "../ir/scheme.ts";
import { decodeBlocks } from "../kernels/blocks.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { decodeHalf, encodeHalf } from "../numeric/half.ts";
import { constantsOf, siteOf } from "./context.ts";
import { withoutUnused } from "./engine.case.ts";
import { FORMS, lowerNodes } from "./index.ts";

export type FloatType = "float32" | "float16";

/** Values in [-1, 1), exact in both float types. */
export function values(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >> 22) / 512;
  });
}

const stored = (data: Float32Array, dtype: FloatType): Float32Array | Uint16Array =>
  dtype === "float16" ? encodeHalf(data) : data;

export const weight = (name: string, shape: readonly number[], seed: number, dtype: FloatType = "float32"): Tensor =>
  tensor(name, dtype, shape, stored(values(elementCount(shape), seed), dtype));

export const feed = (shape: readonly number[], data: Float32Array, dtype: FloatType = "float32"): NDArray => ({
  dtype,
  shape,
  data: stored(data, dtype),
});

export const floats = ({ dtype, data }: NDArray): Float32Array =>
  dtype === "float16" ? decodeHalf(data as Uint16Array) : (data as Float32Array);

export const groups = (bits: 2 | 4 | 8, size: number, symmetric: boolean): Scheme => ({
  dtype: `uint${bits}`,
  symmetric,
  granularity: { per: "group", size },
});

/** Unpacked zero points; the middle of the grid where there are none. */
function zeroPoints({ zeroPoints }: Codes, n: number, blocks: number, bits: number): Uint8Array {
  if (zeroPoints === undefined) return new Uint8Array(n * blocks).fill(2 ** (bits - 1));
  const rowBits = Math.ceil((blocks * bits) / 8) * 8;
  return Uint8Array.from({ length: n * blocks }, (_, i) => {
    const bit = Math.floor(i / blocks) * rowBits + (i % blocks) * bits;
    return (zeroPoints[bit >> 3]! >> (bit & 7)) & (2 ** bits - 1);
  });
}

/** What the codes of a matrix stand for, `[n, k]`. */
export function decodedRows(
  data: Float32Array,
  n: number,
  k: number,
  axis: 0 | 1,
  scheme: Scheme,
  dtype: FloatType,
  algorithm = "rtn",
) {
  const shape = axis === 0 ? [n, k] : [k, n];
  const codes = algorithmNamed(algorithm).quantize({ values: data, shape, axis, dtype }, scheme);
  const grid = blockGrid(scheme);
  const params = { scales: codes.scales, zeroPoints: zeroPoints(codes, n, Math.ceil(k / grid.size), grid.bits) };
  return decodeBlocks(codes.codes, { n, k, stored: axis === 0 ? "nk" : "kn" }, grid, params);
}

/** `x [m, k]` times `rows [n, k]` transposed, in double precision, and the sums of magnitudes for error bounds. */
export function product(x: Float32Array, rows: Float32Array, m: number, n: number, k: number) {
  const y = new Float64Array(m * n);
  const magnitude = new Float64Array(m * n);
  for (let i = 0; i < m * n; i++)
    for (let j = 0; j < k; j++) {
      const term = x[Math.floor(i / n) * k + j]! * rows[(i % n) * k + j]!;
      y[i]! += term;
      magnitude[i]! += Math.abs(term);
    }
  return { y, magnitude };
}

export interface FormStep {
  readonly form: Form;
  readonly scheme: Scheme;
  readonly algorithm?: string;
  readonly options?: NodePlan["options"];
}

/** Lowers each node in the first form that fits, drops what is unused then, dead Transposes included. */
export function lowerWith(model: Model, steps: readonly FormStep[]): Model {
  const constants = constantsOf(model);
  const nodes = [...graphs(model.graph)].flatMap(({ scope, graph }) =>
    graph.nodes.flatMap((node, index): NodePlan[] => {
      for (const { form, scheme, algorithm = "rtn", options } of steps) {
        const fit = FORMS[form]!.fits(siteOf(model, constants, graph, scope, node), scheme);
        if (typeof fit === "string") continue;
        const planned = { ...fit, scheme, algorithm, bytes: { before: 0, after: 0 } };
        const place = { scope, index, node: nodeLabel(node), op: node.op };
        return [{ ...place, form, weight: planned, ...(options && { options }) }];
      }
      return [];
    }),
  );
  const plan = { scheme: "test", nodes, values: [], kept: [], notes: [], bytes: { before: 0, after: 0 } };
  const lowered = lowerNodes(model, plan);
  const { graph } = lowered;
  const read = new Set([...graph.nodes.flatMap(({ inputs }) => inputs), ...graph.outputs.map(({ name }) => name)]);
  const live = graph.nodes.filter(({ op, outputs }) => op !== "Transpose" || read.has(outputs[0]!));
  return withoutUnused({ ...lowered, graph: { ...graph, nodes: live } });
}

/** Why a form does not take the only node of a model, or the fit. */
export function fitOf(model: Model, form: Form, scheme: Scheme) {
  const { graph } = model;
  return FORMS[form]!.fits(siteOf(model, constantsOf(model), graph, "", graph.nodes.at(-1)!), scheme);
}
