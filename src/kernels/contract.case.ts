/** What every implementation of the kernels must do, against the slow reference. */
import { describe, expect, it } from "vitest";
import { axisShape } from "./axis.ts";
import { type BlockGrid, type BlockParams, blockBytes, blockCount, decodeBlocks } from "./blocks.ts";
import { CODE_TABLES } from "./codebook.ts";
import type { Kernels } from "./index.ts";
import { blocksOf, leastError, referenceBlock, referenceChannel, referenceCode } from "./reference.ts";
import { eachRun, type MatrixShape } from "./runs.ts";

/** Sums of draws, with some zeros, outliers and numbers below the smallest normal one. */
function samples(count: number, seed: number): Float32Array {
  let state = seed;
  const draw = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state / 2 ** 31;
  };
  return Float32Array.from({ length: count }, (_, i) => {
    const bell = draw() + draw() + draw();
    if (i % 701 < 40) return i % 2 === 0 ? 0 : -0;
    if (i % 997 < 40) return bell * 2 ** -135;
    return i % 89 === 0 ? bell * 30 : bell;
  });
}

const SHAPES: readonly MatrixShape[] = [
  { n: 70, k: 64, stored: "kn" },
  { n: 70, k: 64, stored: "nk" },
  { n: 65, k: 83, stored: "kn" },
  { n: 9, k: 83, stored: "nk" },
  { n: 3, k: 5, stored: "kn" },
  { n: 1, k: 300, stored: "nk" },
  { n: 300, k: 1, stored: "kn" },
];

const GRIDS: readonly BlockGrid[] = ([2, 4, 8] as const).flatMap((bits) =>
  [16, 32, 128].flatMap((size) => [true, false].map((symmetric) => ({ bits, size, symmetric }))),
);

const label = ({ n, k, stored }: MatrixShape, { bits, size, symmetric }: BlockGrid): string =>
  `${n} rows of ${k} stored ${stored}, ${bits} bit, blocks of ${size}, ${symmetric ? "symmetric" : "asymmetric"}`;

/** Keeps 12 bits, so that rounding of scales shows. */
const coarse = (scale: number): number => Math.fround(Math.fround(scale * 4097) - Math.fround(scale * 4096));

/** Codes without packing, row by row. */
function unpacked(codes: Uint8Array, { n, k }: MatrixShape, { bits, size }: BlockGrid): number[] {
  const rowBits = Math.ceil(k / size) * size * bits;
  return Array.from({ length: n * k }, (_, i) => {
    const bit = Math.floor(i / k) * rowBits + (i % k) * bits;
    return (codes[bit >> 3]! >> (bit & 7)) & (2 ** bits - 1);
  });
}

type ScaleKernel = Kernels["blockScales"];

function quantize(
  kernels: Kernels,
  scaleKernel: ScaleKernel,
  values: Float32Array,
  shape: MatrixShape,
  grid: BlockGrid,
) {
  const blocks = blockCount(shape, grid);
  const params: BlockParams = { scales: new Float32Array(blocks), zeroPoints: new Uint8Array(blocks) };
  const codes = new Uint8Array(blocks * blockBytes(grid));
  eachRun(values, shape, grid.size, (run) => {
    scaleKernel(run, grid, coarse, params);
    kernels.encodeBlocks(run, grid, params, codes);
  });
  return { params, codes };
}

/** Runs the suite on one implementation. */
export function kernelContract(name: string, kernels: Kernels): void {
  describe(`${name} kernels: blocks`, () => {
    for (const shape of SHAPES)
      for (const grid of GRIDS)
        it(label(shape, grid), () => {
          const values = samples(shape.n * shape.k, 17);
          const { params, codes } = quantize(kernels, kernels.blockScales, values, shape, grid);
          const wanted = blocksOf(values, shape, grid.size).map((block) => referenceBlock(block, grid, coarse));
          // A block of zeros has a scale of zero whose sign says nothing.
          expect([...params.scales].map((scale) => scale + 0)).toEqual(wanted.map(({ scale }) => scale + 0));
          expect([...params.zeroPoints]).toEqual(wanted.map(({ zero }) => zero));
          expect(unpacked(codes, shape, grid)).toEqual(wanted.flatMap((block) => block.codes));
        });
  });

  describe(`${name} kernels: clipped blocks`, () => {
    for (const grid of GRIDS)
      it(`have the least squared error of all tried grids: ${label(SHAPES[2]!, grid)}`, () => {
        const shape = SHAPES[2]!;
        const values = samples(shape.n * shape.k, 29);
        const { params, codes } = quantize(kernels, kernels.clippedScales, values, shape, grid);
        const blocks = blocksOf(values, shape, grid.size);
        const decoded = blocksOf(decodeBlocks(codes, shape, grid, params), { ...shape, stored: "nk" }, grid.size);
        for (const [i, block] of blocks.entries()) {
          const error = block.reduce((sum, value, j) => sum + (value - decoded[i]![j]!) ** 2, 0);
          // Searches round ties and sum otherwise than the reference, in single precision at worst.
          expect(error).toBeLessThanOrEqual(leastError(block, grid, coarse) * (1 + 1e-5) + 1e-30);
        }
      });
  });

  describe(`${name} kernels: codebooks`, () => {
    for (const table of ["nf4", "fp4"] as const)
      for (const shape of [SHAPES[0]!, SHAPES[1]!, SHAPES[5]!])
        it(`${table}, ${shape.n} rows of ${shape.k} stored ${shape.stored}`, () => {
          const values = samples(shape.n * shape.k, 43);
          const magnitudes = new Float32Array(shape.n * Math.ceil(shape.k / 64));
          const codes = new Uint8Array((shape.n * shape.k) / 2);
          eachRun(values, shape, 64, (run) => {
            kernels.blockMagnitudes(run, magnitudes);
            kernels.encodeCodebook(run, 64, CODE_TABLES[table], magnitudes, codes);
          });
          const wanted = blocksOf(values, shape, 64).map((block) => {
            const magnitude = Math.max(...block.map(Math.abs));
            const reciprocal = magnitude === 0 ? 0 : Math.fround(1 / magnitude);
            return {
              magnitude,
              codes: block.map((value) => referenceCode(Math.fround(value * reciprocal), CODE_TABLES[table])),
            };
          });
          expect([...magnitudes]).toEqual(wanted.map(({ magnitude }) => magnitude));
          const found = [...codes].flatMap((byte) => [byte >> 4, byte & 15]);
          expect(found).toEqual(wanted.flatMap((block) => block.codes));
        });
  });

  describe(`${name} kernels: channels`, () => {
    const shape = [3, 5, 7];
    for (const axis of [0, 1, 2])
      for (const [signed, symmetric] of [
        [true, true],
        [true, false],
        [false, true],
        [false, false],
      ] as const)
        it(`axis ${axis}, ${signed ? "int8" : "uint8"}, ${symmetric ? "symmetric" : "asymmetric"}`, () => {
          const values = samples(105, 57);
          const layout = axisShape(shape, axis);
          const grid = { min: signed ? (symmetric ? -127 : -128) : 0, max: signed ? 127 : 255, symmetric };
          const params = kernels.axisScales(values, layout, grid);
          const codes = signed ? new Int8Array(105) : new Uint8Array(105);
          kernels.encodeAxis(values, layout, params, codes);
          for (let channel = 0; channel < layout.channels; channel++) {
            const mine = (_: number, i: number): boolean => Math.floor(i / layout.inner) % layout.channels === channel;
            const wanted = referenceChannel([...values].filter(mine), grid, signed);
            expect([params.scales[channel], params.zeroPoints[channel]]).toEqual([wanted.scale, wanted.zero]);
            expect([...codes].filter(mine)).toEqual(wanted.codes);
          }
        });
  });
}
