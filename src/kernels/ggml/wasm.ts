/**
 * ggml's formats in WebAssembly SIMD where that was measured to be faster: encoding the simple types,
 * the 4-bit floats, the K-quants and the IQ types.
 * The program is `assembly/`, built by `node scripts/build-wasm.js`. No relaxed operations: the same bytes everywhere.
 */
import { sumOfSquares } from "./float.ts";
import type { GgmlEncode, GgmlFormat } from "./format.ts";
import { GGML_FORMATS, type GgmlFormats } from "./formats.ts";
import { iq1mFormat } from "./iq1-m.ts";
import { iq1sFormat } from "./iq1-s.ts";
import { latticeFormats } from "./iq2-iq3.ts";
import { BYTES_AT, CHUNK, machine, type Program, VALUES_AT, WEIGHTS_AT } from "./machine.ts";
import { searchSuperWasm } from "./wasm-lattice.ts";
import { trySplitsWasmM, trySplitsWasmS } from "./wasm-splits.ts";

/** Encodes so many blocks of the values in memory; `weights` is where theirs lie, 0 for none. */
type Call = (program: Program, blocks: number, weights: number, sigma2: number) => void;

/** Runs values `from` to `to` through `call` in chunks; weights start at `weightsFrom`. */
function encodeRun(
  { block, bytes }: GgmlFormat,
  call: Call,
  src: Float32Array,
  from: number,
  to: number,
  dst: Uint8Array,
  importance: Float32Array | undefined,
  sigma2: number,
): void {
  const { program, values, weights, bytes: out } = machine();
  for (let at = from; at < to; at += CHUNK) {
    const count = Math.min(CHUNK, to - at);
    const blocks = count / block;
    values.set(src.subarray(at, at + count));
    if (importance !== undefined) weights.set(importance.subarray(at - from, at - from + count));
    call(program, blocks, importance === undefined ? 0 : WEIGHTS_AT, sigma2);
    dst.set(out.subarray(0, blocks * bytes), (at / block) * bytes);
  }
}

/** An encoder that hands whole tensors on where nothing is weighted, else row by row. */
const encoder =
  (row: GgmlFormat, call: Call, usesSigma2: boolean): GgmlEncode =>
  (src, dst, rows, columns, importance) => {
    if (importance === undefined || row.importance === "ignored") {
      encodeRun(row, call, src, 0, rows * columns, dst, undefined, 0);
      return -1;
    }
    for (let from = 0; from < rows * columns; from += columns) {
      const sigma2 = usesSigma2 ? Math.fround(sumOfSquares(src, from, columns) / columns) : 0;
      encodeRun(row, call, src, from, from + columns, dst, importance, sigma2);
    }
    return -1;
  };

const signed =
  (bits: number): Call =>
  (program, blocks, weights, sigma2) => {
    if (weights === 0) program.encodeSigned(VALUES_AT, BYTES_AT, blocks, bits);
    else program.encodeWeighted(VALUES_AT, BYTES_AT, blocks, weights, sigma2, bits, 0);
  };

const affine =
  (bits: number): Call =>
  (program, blocks, weights, sigma2) => {
    if (weights === 0) program.encodeAffine(VALUES_AT, BYTES_AT, blocks, bits);
    else program.encodeWeighted(VALUES_AT, BYTES_AT, blocks, weights, sigma2, bits, 1);
  };

const kQuant =
  (kind: number): Call =>
  (program, blocks, weights) =>
    program.encodeK(VALUES_AT, BYTES_AT, blocks, weights, kind);

const simple = (row: GgmlFormat, call: Call): GgmlFormat => ({ ...row, encode: encoder(row, call, true) });
const ownSigma = (row: GgmlFormat, call: Call): GgmlFormat => ({ ...row, encode: encoder(row, call, false) });

/** The table with what WebAssembly does faster; the rest is the TypeScript. */
export const WASM_FORMATS: GgmlFormats = {
  ...GGML_FORMATS,
  ...latticeFormats(searchSuperWasm),
  iq1_s: iq1sFormat(trySplitsWasmS),
  iq1_m: iq1mFormat(trySplitsWasmM),
  q8_0: simple(GGML_FORMATS.q8_0, (program, blocks) => program.encodeBytes(VALUES_AT, BYTES_AT, blocks)),
  mxfp4: simple(GGML_FORMATS.mxfp4, (program, blocks) => program.encodeMxfp4(VALUES_AT, BYTES_AT, blocks)),
  nvfp4: simple(GGML_FORMATS.nvfp4, (program, blocks) => program.encodeNvfp4(VALUES_AT, BYTES_AT, blocks)),
  q4_0: simple(GGML_FORMATS.q4_0, signed(4)),
  q5_0: simple(GGML_FORMATS.q5_0, signed(5)),
  q4_1: simple(GGML_FORMATS.q4_1, affine(4)),
  q5_1: simple(GGML_FORMATS.q5_1, affine(5)),
  q2_k: ownSigma(GGML_FORMATS.q2_k, kQuant(2)),
  q3_k: ownSigma(GGML_FORMATS.q3_k, kQuant(3)),
  q4_k: ownSigma(GGML_FORMATS.q4_k, kQuant(4)),
  q5_k: ownSigma(GGML_FORMATS.q5_k, kQuant(5)),
  q6_k: ownSigma(GGML_FORMATS.q6_k, kQuant(6)),
  iq4_nl: ownSigma(GGML_FORMATS.iq4_nl, (program, blocks, weights) =>
    program.encodeIq4Nl(VALUES_AT, BYTES_AT, blocks, weights),
  ),
  iq4_xs: ownSigma(GGML_FORMATS.iq4_xs, (program, blocks, weights) =>
    program.encodeIq4Xs(VALUES_AT, BYTES_AT, blocks, weights),
  ),
};
