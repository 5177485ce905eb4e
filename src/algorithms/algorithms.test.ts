import { describe, expect, it } from "vitest";
import type { Scheme } from "../ir/scheme.ts";
import { eachRun } from "../kernels/runs.ts";
import type { Weights } from "./algorithm.ts";
import { goldenWeights } from "./golden.case.ts";
import { ALGORITHMS, algorithmNamed } from "./index.ts";

const group = (dtype: Scheme["dtype"], size: number, symmetric: boolean): Scheme => ({
  dtype,
  symmetric,
  granularity: { per: "group", size },
});

const upright = goldenWeights({ name: "w", kind: "bell", k: 83, n: 6, seed: 99, dtype: "float32" });

/** The same matrix, stored `[n, k]`. */
function turned({ values, shape, dtype }: Weights): Weights {
  const [k, n] = shape as readonly [number, number];
  const rows = new Float32Array(values.length);
  eachRun(values, { n, k, stored: "kn" }, k, (run) => rows.set(run.values.subarray(0, run.count * k), run.at * k));
  return { values: rows, shape: [n, k], axis: 0, dtype };
}

describe("the way a matrix is stored does not change its codes", () => {
  for (const [name, scheme] of [
    ["rtn", group("uint4", 32, false)],
    ["rtn", group("uint2", 16, true)],
    ["mse", group("uint8", 32, true)],
    ["nf4", group("uint4", 64, true)],
  ] as const)
    it(`${name} ${scheme.dtype}`, () => {
      expect(algorithmNamed(name).quantize(turned(upright), scheme)).toEqual(
        algorithmNamed(name).quantize(upright, scheme),
      );
    });
});

describe("requests without arithmetic are refused", () => {
  const cases: readonly (readonly [string, string, Scheme, RegExp])[] = [
    ["unknown group size", "rtn", group("uint4", 24, true), /group size 24: expected a power of two from 16 to 256/],
    ["signed codes in groups", "rtn", group("int4", 32, true), /codes in groups are uint2, uint4 or uint8, not int4/],
    [
      "clip search without groups",
      "mse",
      { dtype: "int8", symmetric: true, granularity: { per: "axis" } },
      /expected groups/,
    ],
    [
      "a codebook without groups",
      "nf4",
      { dtype: "uint4", symmetric: true, granularity: { per: "tensor" } },
      /expected groups/,
    ],
    [
      "4 bits per channel",
      "rtn",
      { dtype: "uint4", symmetric: true, granularity: { per: "axis" } },
      /int8 or uint8, not uint4/,
    ],
  ];
  for (const [label, name, scheme, message] of cases)
    it(label, () => expect(() => algorithmNamed(name).quantize(upright, scheme)).toThrow(message));

  it("an unknown algorithm, with the list of known ones", () => {
    expect(() => algorithmNamed("gptqq")).toThrow(/unknown algorithm "gptqq"; known are rtn, mse, nf4, fp4/);
  });
});

it("every algorithm has a name of its own and a summary", () => {
  expect(new Set(ALGORITHMS.map(({ name }) => name)).size).toBe(ALGORITHMS.length);
  for (const { summary } of ALGORITHMS) expect(summary.length).toBeGreaterThan(20);
});
