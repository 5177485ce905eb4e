import { beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../engines/contract.ts";
import { node, onnxModel, valueInfo } from "../ir/build.ts";
import type { Model, NDArray, Node, Tensor } from "../ir/model.ts";
import { bytesOf, nativeEngine, run, wasmEngine } from "./engine.case.ts";
import {
  decodedRows,
  type FloatType,
  fitOf,
  floats,
  groups,
  lowerWith,
  product,
  values,
  weight,
} from "./nbits.case.ts";

let engines: readonly Engine[];
beforeAll(async () => {
  engines = [await nativeEngine(), await wasmEngine()];
});

const ids = [3, 0, 18];
const i: NDArray = { dtype: "int64", shape: [3], data: BigInt64Array.from(ids, BigInt) };
const [rows, width] = [19, 64];

const lookup = (more: readonly Node[] = [], tensors: readonly Tensor[] = [weight("t", [rows, width], 7)]): Model =>
  onnxModel({
    inputs: [valueInfo("i", "int64", [3])],
    outputs: [valueInfo(more.length === 0 ? "e" : "y", tensors[0]!.dtype)],
    nodes: [node("Gather", ["t", "i"], ["e"], { name: "embed" }), ...more],
    tensors,
  });

const picked = (table: Float32Array): Float32Array =>
  Float32Array.from(ids.flatMap((id) => [...table.subarray(id * width, (id + 1) * width)]));

describe("GatherBlockQuantized gives the values the codes stand for, exactly", () => {
  for (const bits of [2, 4, 8] as const)
    for (const size of [16, 32, 64])
      for (const symmetric of [true, false])
        it(`${bits} bit, group ${size}, ${symmetric ? "symmetric" : "asymmetric"}`, async () => {
          const scheme = groups(bits, size, symmetric);
          const made = lowerWith(lookup(), [{ form: "gather", scheme }]);
          expect(made.graph.nodes.map(({ op }) => op)).toEqual(["GatherBlockQuantized"]);
          const want = picked(decodedRows(values(rows * width, 7), rows, width, 0, scheme, "float32"));
          for (const engine of engines) {
            const { e } = await run(engine, made, { i });
            expect(floats(e!)).toEqual(want);
          }
        });

  it("in float16", async () => {
    const dtype: FloatType = "float16";
    const scheme = groups(4, 32, true);
    const made = lowerWith(lookup([], [weight("t", [rows, width], 7, dtype)]), [{ form: "gather", scheme }]);
    const want = picked(decodedRows(values(rows * width, 7), rows, width, 0, scheme, dtype));
    const found = floats((await run(engines[0]!, made, { i })).e!);
    // The product of code and scale is rounded to half precision.
    for (const [at, value] of found.entries())
      expect(Math.abs(value - want[at]!)).toBeLessThanOrEqual(2 ** -11 * Math.abs(want[at]!));
  });
});

describe("a table that is also the matrix of a product", () => {
  const steps = (symmetric: boolean) => {
    const scheme = groups(4, 32, symmetric);
    return [
      { form: "gather", scheme },
      { form: "nbits", scheme },
    ] as const;
  };
  const heads: readonly (readonly [string, readonly Node[]])[] = [
    ["Gemm", [node("Gemm", ["e", "t"], ["y"], { name: "head", attributes: { transB: 1 } })]],
    [
      "Transpose and MatMul",
      [
        node("Transpose", ["t"], ["u"], { attributes: { perm: [1, 0] } }),
        node("MatMul", ["e", "u"], ["y"], { name: "head" }),
      ],
    ],
  ];
  for (const [label, head] of heads)
    for (const symmetric of [true, false])
      it(`is stored once: ${label}, ${symmetric ? "symmetric" : "asymmetric"}`, async () => {
        const model = lookup(head);
        const made = lowerWith(model, steps(symmetric));
        const stored = ["t_Q4", "t_scales", ...(symmetric ? [] : ["t_zero_points"])];
        expect(
          [...made.graph.tensors.keys()].filter((name) => made.graph.tensors.get(name)?.dtype !== "int64"),
        ).toEqual(stored);
        expect((await bytesOf(made)).length).toBeLessThan((await bytesOf(model)).length / 3);
        const table = decodedRows(values(rows * width, 7), rows, width, 0, groups(4, 32, symmetric), "float32");
        const exact = product(picked(table), table, 3, rows, width);
        for (const engine of engines) {
          const { y } = await run(engine, made, { i });
          for (const [at, value] of floats(y!).entries())
            expect(Math.abs(value - exact.y[at]!)).toBeLessThanOrEqual(width * 2 ** -23 * exact.magnitude[at]!);
        }
      });
});

describe("lookups it does not fit are refused with the reason", () => {
  for (const [label, model, reason] of [
    [
      "rows that groups do not divide",
      lookup([], [weight("t", [9, 40], 1)]),
      "rows of 40 values are no multiple of the group size 32",
    ],
    ["a table of vectors of matrices", lookup([], [weight("t", [9, 4, 32], 1)]), "table has 3 dimensions, not 2"],
    ["a table that is fed", lookup([], [weight("other", [9, 32], 1)]), "table is not constant"],
  ] as const)
    it(label, () => expect(fitOf(model, "gather", groups(4, 32, true))).toBe(reason));
});
