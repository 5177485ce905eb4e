/** Super-blocks of signs, scales and points of a codebook: iq2_xxs iq2_xs iq2_s iq3_xxs iq3_s. */
import { GGML_TYPES, type GgmlTypeRow } from "../../numeric/ggml-types.ts";
import { infiniteHalf, readHalf, writeHalf } from "./float.ts";
import { decodeBlocks, encodeSupers, type GgmlFormat, type ImportanceUse, SUPER } from "./format.ts";
import { latticeOf } from "./lattice.ts";
import {
  EPSILON,
  type Found,
  type LatticeSearch,
  roomForFound,
  type SearchFor,
  type SuperSearch,
  scaleCode,
} from "./lattice-search.ts";

const { fround } = Math;

/** Four-bit codes of the scales of all sub-blocks. */
const scaleCodes = new Uint8Array(SUPER / 16);
/** What blocks are unpacked to. */
const unpacked = roomForFound();

interface IqRow extends GgmlTypeRow {
  readonly importance: ImportanceUse;
  readonly search: LatticeSearch;
  /** The stored d is the searched one times this. */
  readonly fudge: number;
  /** A block whose scales are all zero is zero bytes; else its signs and points are stored. */
  readonly clearsZeros: boolean;
  /** What a level stands for. */
  readonly values: readonly number[];
  /** Step of a sub-block from d and the code of its scale. */
  step(d: number, code: number): number;
  /** Writes indices, signs and `scaleCodes` behind d. */
  pack(found: Found, y: Uint8Array, to: number): void;
  unpack(y: Uint8Array, from: number, found: Found): void;
}

function encode(
  search: SuperSearch,
  row: IqRow,
  x: Float32Array,
  from: number,
  y: Uint8Array,
  to: number,
  importance: Float32Array | undefined,
  weightsFrom: number,
): boolean {
  const most = search.run(x, from, importance, weightsFrom);
  if (Number.isNaN(most)) return false;
  const { found } = search;
  y.fill(0, to, to + row.bytes);
  if (most === 0 && row.clearsZeros) return true;
  const d = fround(most / 31);
  const id = fround(1 / d);
  for (let sub = 0; sub < SUPER / row.search.sub; sub++)
    scaleCodes[sub] = most === 0 ? 0 : scaleCode(id, found.scales[sub]!, 15);
  writeHalf(y, to, fround(d * row.fudge));
  row.pack(found, y, to + 2);
  return true;
}

function decode(row: IqRow, y: Uint8Array, from: number, x: Float32Array, to: number): void {
  const { levels, coordinates } = latticeOf(row.search.grid);
  const { sub } = row.search;
  const { indices, signs } = unpacked;
  const d = readHalf(y, from);
  row.unpack(y, from + 2, unpacked);
  for (let i = 0; i < SUPER; i += coordinates) {
    const step = row.step(d, scaleCodes[Math.floor(i / sub)]!);
    const at = indices[i / coordinates]! * coordinates;
    for (let j = 0; j < coordinates; j++) {
      const value = fround(step * row.values[levels[at + j]!]!);
      x[to + i + j] = (signs[i >> 3]! >> ((i + j) & 7)) & 1 ? -value : value;
    }
  }
}

const formatOf = (row: IqRow, search: SuperSearch): GgmlFormat => ({
  id: row.id,
  block: row.block,
  bytes: row.bytes,
  importance: row.importance,
  encode: encodeSupers(SUPER, row.bytes, (x, from, y, to, w, wFrom) => encode(search, row, x, from, y, to, w, wFrom)),
  decode: decodeBlocks(SUPER, row.bytes, (y, from, x, to) => decode(row, y, from, x, to)),
  firstInfinite: infiniteHalf(row.bytes, 0),
});

/** Seven signs and the one that makes their number even. */
function eightSigns(seven: number): number {
  let odd = seven ^ (seven >> 4);
  odd ^= odd >> 2;
  odd ^= odd >> 1;
  return seven | ((odd & 1) << 7);
}

const writeWord = (y: Uint8Array, at: number, word: number): void => {
  for (let byte = 0; byte < 4; byte++) y[at + byte] = word >> (8 * byte);
};

const readWord = (y: Uint8Array, at: number): number =>
  y[at]! | (y[at + 1]! << 8) | (y[at + 2]! << 16) | (y[at + 3]! << 24);

/** Four times seven signs of sub-block `sub`, its scale above them. */
const signsAndScale = ({ signs }: Found, sub: number): number =>
  signs[4 * sub]! |
  (signs[4 * sub + 1]! << 7) |
  (signs[4 * sub + 2]! << 14) |
  (signs[4 * sub + 3]! << 21) |
  (scaleCodes[sub]! << 28);

function splitSignsAndScale(word: number, { signs }: Found, sub: number): void {
  for (let k = 0; k < 4; k++) signs[4 * sub + k] = eightSigns((word >> (7 * k)) & 127);
  scaleCodes[sub] = word >>> 28;
}

/** Two four-bit scales a byte. */
function packScales(y: Uint8Array, at: number, count: number): void {
  for (let j = 0; j < count; j += 2) y[at + j / 2] = scaleCodes[j]! | (scaleCodes[j + 1]! << 4);
}

function unpackScales(y: Uint8Array, at: number, count: number): void {
  for (let j = 0; j < count; j++) scaleCodes[j] = (y[at + (j >> 1)]! >> (4 * (j & 1))) & 15;
}

const TENTH = fround(0.1);
const FIFTH = fround(0.2);
const IQ2_VALUES = [8, 25, 43];

/** d (1/2 + code) / 4. */
const quarterStep = (d: number, code: number): number => fround(fround(d * (0.5 + code)) * 0.25);

/** Settings that the types with two bits a coordinate share. */
const iq2 = {
  sub: 16,
  top: 3,
  evenSigns: true,
  epsilon: EPSILON.iq2,
  sigma2: 1,
  steps: 9,
  step: TENTH,
  refine: "off grid",
  searchesMaximum: false,
  raisesSquares: false,
} as const;

/** iq2_xxs: four points of 8 bits, four times seven signs and a scale in 64 bits. */
const iq2_xxs: IqRow = {
  ...GGML_TYPES.iq2_xxs,
  importance: "required",
  search: { ...iq2, grid: "iq2_xxs", sub: 32, steps: 6, refine: "all", searchesMaximum: true },
  fudge: 1,
  clearsZeros: true,
  values: IQ2_VALUES,
  step: quarterStep,
  pack(found, y, to) {
    const { indices } = found;
    for (let sub = 0; sub < 8; sub++) {
      for (let k = 0; k < 4; k++) y[to + 8 * sub + k] = indices[4 * sub + k]!;
      writeWord(y, to + 8 * sub + 4, signsAndScale(found, sub));
    }
  },
  unpack(y, from, found) {
    const { indices } = found;
    for (let sub = 0; sub < 8; sub++) {
      for (let k = 0; k < 4; k++) indices[4 * sub + k] = y[from + 8 * sub + k]!;
      splitSignsAndScale(readWord(y, from + 8 * sub + 4), found, sub);
    }
  },
};

/** iq2_xs: nine bits of the point and seven signs in 16 bits. */
const iq2_xs: IqRow = {
  ...GGML_TYPES.iq2_xs,
  importance: "required",
  search: { ...iq2, grid: "iq2_xs" },
  fudge: 1,
  clearsZeros: true,
  values: IQ2_VALUES,
  step: quarterStep,
  pack({ indices, signs }, y, to) {
    for (let k = 0; k < 32; k++) {
      y[to + 2 * k] = indices[k]!;
      y[to + 2 * k + 1] = (indices[k]! >> 8) | (signs[k]! << 1);
    }
    packScales(y, to + SUPER / 4, 16);
  },
  unpack(y, from, { indices, signs }) {
    for (let k = 0; k < 32; k++) {
      const high = y[from + 2 * k + 1]!;
      indices[k] = y[from + 2 * k]! | ((high & 1) << 8);
      signs[k] = eightSigns(high >> 1);
    }
    unpackScales(y, from + SUPER / 4, 16);
  },
};

/** iq2_s: low bytes of the points, signs, upper two bits of four points a byte, scales. */
const iq2_s: IqRow = {
  ...GGML_TYPES.iq2_s,
  importance: "demanded",
  search: { ...iq2, grid: "iq2_s", evenSigns: false, epsilon: EPSILON.iq2_s, sigma2: 2, raisesSquares: true },
  fudge: fround(0.9875),
  clearsZeros: false,
  values: IQ2_VALUES,
  step: quarterStep,
  pack({ indices, signs }, y, to) {
    for (let k = 0; k < 32; k++) {
      y[to + k] = indices[k]!;
      y[to + 32 + k] = signs[k]!;
      y[to + 64 + (k >> 2)]! |= (indices[k]! >> 8) << (2 * (k & 3));
    }
    packScales(y, to + 72, 16);
  },
  unpack(y, from, { indices, signs }) {
    for (let k = 0; k < 32; k++) {
      indices[k] = y[from + k]! | (((y[from + 64 + (k >> 2)]! >> (2 * (k & 3))) & 3) << 8);
      signs[k] = y[from + 32 + k]!;
    }
    unpackScales(y, from + 72, 16);
  },
};

/** Settings that the types with three bits a coordinate share. */
const iq3 = { ...iq2, sub: 32, top: 8, sigma2: 2, step: FIFTH } as const;

/** iq3_xxs: eight points of 8 bits; four times seven signs and a scale in 32 bits behind all points. */
const iq3_xxs: IqRow = {
  ...GGML_TYPES.iq3_xxs,
  importance: "demanded",
  search: { ...iq3, grid: "iq3_xxs", epsilon: EPSILON.iq3_xxs, steps: 15 },
  fudge: fround(1.0125),
  clearsZeros: true,
  values: [4, 12, 20, 28, 36, 44, 52, 62],
  step: (d, code) => fround(fround(d * (0.5 + code)) * 0.5),
  pack(found, y, to) {
    const { indices } = found;
    for (let k = 0; k < 64; k++) y[to + k] = indices[k]!;
    for (let sub = 0; sub < 8; sub++) writeWord(y, to + 64 + 4 * sub, signsAndScale(found, sub));
  },
  unpack(y, from, found) {
    const { indices } = found;
    for (let k = 0; k < 64; k++) indices[k] = y[from + k]!;
    for (let sub = 0; sub < 8; sub++) splitSignsAndScale(readWord(y, from + 64 + 4 * sub), found, sub);
  },
};

/**
 * iq3_s: low bytes of the points, ninth bits of eight points a byte, signs, scales. ggml's encoder leaves no place for
 * the points and signs of a sub-block of zeros, so those behind it move up and decode wrongly; the bytes here are the same.
 */
const iq3_s: IqRow = {
  ...GGML_TYPES.iq3_s,
  importance: "used",
  search: { ...iq3, grid: "iq3_s", evenSigns: false, epsilon: 0, refine: "all if any is off grid" },
  fudge: fround(1.033),
  clearsZeros: false,
  values: [1, 3, 5, 7, 9, 11, 13, 15],
  step: (d, code) => fround(d * (1 + 2 * code)),
  pack(found, y, to) {
    const { indices, signs } = found;
    for (let sub = 0, place = 0; sub < 8; sub++) {
      if (found.skipped[sub] === 1) continue;
      for (let k = 0; k < 8; k++) {
        y[to + 8 * place + k] = indices[8 * sub + k]!;
        y[to + 64 + sub]! |= (indices[8 * sub + k]! >> 8) << k;
      }
      for (let k = 0; k < 4; k++) y[to + 72 + 4 * place + k] = signs[4 * sub + k]!;
      place++;
    }
    packScales(y, to + 104, 8);
  },
  unpack(y, from, { indices, signs }) {
    for (let k = 0; k < 64; k++) indices[k] = y[from + k]! | (((y[from + 64 + (k >> 3)]! >> (k & 7)) & 1) << 8);
    for (let k = 0; k < 32; k++) signs[k] = y[from + 72 + k]!;
    unpackScales(y, from + 104, 8);
  },
};

/** The five formats on one implementation of the search. */
export const latticeFormats = (searchFor: SearchFor) => ({
  iq2_xxs: formatOf(iq2_xxs, searchFor(iq2_xxs.search)),
  iq2_xs: formatOf(iq2_xs, searchFor(iq2_xs.search)),
  iq2_s: formatOf(iq2_s, searchFor(iq2_s.search)),
  iq3_xxs: formatOf(iq3_xxs, searchFor(iq3_xxs.search)),
  iq3_s: formatOf(iq3_s, searchFor(iq3_s.search)),
});
