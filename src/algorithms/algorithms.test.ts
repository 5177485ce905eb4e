import { describe, expect, it } from "vitest";
import type { Scheme } from "../ir/scheme.ts";
import { eachRun } from "../kernels/runs.ts";
import { unpackSigned } from "../numeric/packing.ts";
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
      "clip search per channel with zero points",
      "mse",
      { dtype: "int8", symmetric: false, granularity: { per: "axis" } },
      /search for clipped ranges per channel is for symmetric weights/,
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
      /int8, uint8, int4 or int2, not uint4/,
    ],
  ];
  for (const [label, name, scheme, message] of cases)
    it(label, () => expect(() => algorithmNamed(name).quantize(upright, scheme)).toThrow(message));

  it("an unknown algorithm, with the list of known ones", () => {
    expect(() => algorithmNamed("gptqq")).toThrow(/unknown algorithm "gptqq"; known are rtn, mse, nf4, fp4/);
  });
});

describe("few codes per channel", () => {
  const scheme: Scheme = { dtype: "int4", symmetric: true, granularity: { per: "axis" }, codes: [-8, 7] };

  /** Sum of squared differences to what the codes stand for; the channels are the last axis. */
  function squaredError(name: string, { values, shape }: Weights): number {
    const { codes, scales } = algorithmNamed(name).quantize({ values, shape, axis: 1, dtype: "float32" }, scheme);
    const back = unpackSigned(codes, 4, values.length);
    return values.reduce((sum, value, i) => sum + (value - back[i]! * scales[i % shape[1]!]!) ** 2, 0);
  }

  it("cover all values by rounding, and err less where the range is searched", () => {
    const [rounded, searched] = ["rtn", "mse"].map((name) => squaredError(name, upright));
    expect(searched).toBeLessThan(rounded! * 0.95);
    const peak = upright.values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    // no value is farther than half a step from its code, and a step is a seventh of a channel's largest magnitude
    expect(rounded).toBeLessThan(upright.values.length * (peak / 14) ** 2);
  });

  it("the same channels lie along rows or columns", () => {
    const [across, down] = [
      algorithmNamed("mse").quantize(upright, scheme),
      algorithmNamed("mse").quantize(turned(upright), scheme),
    ];
    expect(across.scales).toEqual(down.scales);
  });
});

it("every algorithm has a name of its own and a summary", () => {
  expect(new Set(ALGORITHMS.map(({ name }) => name)).size).toBe(ALGORITHMS.length);
  for (const { summary } of ALGORITHMS) expect(summary.length).toBeGreaterThan(20);
});
