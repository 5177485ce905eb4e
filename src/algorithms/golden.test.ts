import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { Scheme } from "../ir/scheme.ts";
import { encodeFloats } from "../numeric/convert.ts";
import type { Weights } from "./algorithm.ts";
import { type Digest, goldenWeights, readGolden } from "./golden.case.ts";
import { algorithmNamed } from "./index.ts";

const golden = readGolden();
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const weights = new Map(golden.weights.map((spec) => [spec.name, goldenWeights(spec)]));

/** SHA-256 by tensor name, named as the tool names them. */
function digestsOf(name: string, weight: Weights, algorithm: string, scheme: Scheme, suffixes: readonly string[]) {
  const { codes, scales, zeroPoints } = algorithmNamed(algorithm).quantize(weight, scheme);
  const parts = [codes, encodeFloats(scales, weight.dtype), ...(zeroPoints ? [zeroPoints] : [])];
  return parts.map((bytes, i) => [name + suffixes[i], sha256(bytes)]);
}

const expected = (tensors: Readonly<Record<string, Digest>>) =>
  Object.entries(tensors).map(([name, [, , digest]]) => [name, digest]);

const group = (dtype: Scheme["dtype"], size: number, symmetric: boolean): Scheme => ({
  dtype,
  symmetric,
  granularity: { per: "group", size },
});

describe("codes equal those of onnxruntime's MatMulNBitsQuantizer byte for byte", () => {
  for (const { bits, block, symmetric, tensors } of golden.nbits)
    it(`${bits} bit, block ${block}, ${symmetric ? "symmetric" : "asymmetric"}`, () => {
      const names = new Set(Object.keys(tensors).map((tensor) => tensor.split("_")[0]!));
      const scheme = group(`uint${bits}`, block, symmetric);
      const found = [...names].flatMap((name) =>
        digestsOf(name, weights.get(name)!, "rtn", scheme, [`_Q${bits}`, "_scales", "_zero_points"]),
      );
      expect(found).toEqual(expected(tensors));
    });
});

describe("codes equal those of onnxruntime's MatMulBnb4Quantizer byte for byte", () => {
  for (const { codebook, tensors } of golden.bnb4)
    it(codebook, () => {
      const scheme: Scheme = { ...group("uint4", 64, true), codebook };
      const found = [...weights].flatMap(([name, weight]) =>
        digestsOf(name, weight, codebook, scheme, ["_Bnb4", "_absmax"]),
      );
      expect(found).toEqual(expected(tensors));
    });
});
