/**
 * ggml's formats in WebAssembly SIMD. The program is `assembly/`, built by `node scripts/build-wasm.js`. No relaxed
 * operations: the same bytes everywhere.
 */
import type { GgmlFormat } from "./format.ts";
import { GGML_FORMAT_NAMES, GGML_FORMATS, type GgmlFormatName, type GgmlFormats } from "./formats.ts";
import { latticeFormats } from "./iq2-iq3.ts";
import type { Program } from "./machine.ts";
import { accepting, type DecodeCall, decoder, type EncodeCall, encoder } from "./run.ts";
import { latticeMachine, searchForWasm } from "./wasm-lattice.ts";

/** An encoder without weights; answers -1 or `DOUBT`. */
type Plain = (program: Program, src: number, dst: number, blocks: number) => number;

/** Two calls, for blocks with weights and without. */
const either =
  (weighted: EncodeCall, plain: Plain): EncodeCall =>
  (program, src, dst, blocks, weights, sigma2) =>
    weights === 0 ? plain(program, src, dst, blocks) : weighted(program, src, dst, blocks, weights, sigma2);

const weighted = (bits: number, isAffine: 0 | 1): EncodeCall =>
  accepting((program, src, dst, blocks, weights, sigma2) =>
    program.encodeWeighted(src, dst, blocks, weights, sigma2, bits, isAffine),
  );

const signed = (bits: number): EncodeCall =>
  either(weighted(bits, 0), (program, src, dst, blocks) => program.encodeSigned(src, dst, blocks, bits));
const affine = (bits: number): EncodeCall =>
  either(weighted(bits, 1), (program, src, dst, blocks) => program.encodeAffine(src, dst, blocks, bits));

const kQuant = (kind: number): EncodeCall =>
  accepting((program, src, dst, blocks, weights) => program.encodeK(src, dst, blocks, weights, kind));

const iq4Nl = accepting((program, src, dst, blocks, weights) => program.encodeIq4Nl(src, dst, blocks, weights));
const iq4Xs = accepting((program, src, dst, blocks, weights) => program.encodeIq4Xs(src, dst, blocks, weights));

const plain = (row: GgmlFormat, call: Plain): GgmlFormat => ({
  ...{ ...row, findsNonFinite: true },
  encode: encoder(row, call, false),
});
const simple = (row: GgmlFormat, call: EncodeCall): GgmlFormat => ({
  ...{ ...row, findsNonFinite: true },
  encode: encoder(row, call, true),
});
const ownSigma = (row: GgmlFormat, call: EncodeCall): GgmlFormat => ({ ...row, encode: encoder(row, call, false) });
const ternary = (row: GgmlFormat, isM: number): GgmlFormat => {
  const call: EncodeCall = (program, src, dst, blocks, weights) => program.encodeIq1(src, dst, blocks, weights, isM);
  return { ...row, encode: encoder(row, call, false, () => latticeMachine("iq1")) };
};

const { f16, bf16, q8_0, q5_1, q5_0, q4_1, q4_0, q2_0, q1_0 } = GGML_FORMATS;
const { q6_k, q5_k, q4_k, q3_k, q2_k, iq4_nl, iq4_xs, iq1_m, iq1_s, tq2_0, tq1_0, mxfp4, nvfp4 } = GGML_FORMATS;

/** Encoders in WebAssembly. */
const ENCODERS = {
  ...latticeFormats(searchForWasm),
  iq1_m: ternary(iq1_m, 1),
  iq1_s: ternary(iq1_s, 0),
  f16: plain(f16, (program, src, dst, count) => program.encodeHalf(src, dst, count)),
  bf16: plain(bf16, (program, src, dst, count) => program.encodeBfloat(src, dst, count)),
  q8_0: plain(q8_0, (program, src, dst, blocks) => program.encodeBytes(src, dst, blocks)),
  q2_0: plain(q2_0, (program, src, dst, blocks) => program.encodeQ2(src, dst, blocks)),
  q1_0: plain(q1_0, (program, src, dst, blocks) => program.encodeQ1(src, dst, blocks)),
  tq2_0: plain(tq2_0, (program, src, dst, blocks) => program.encodeTq2(src, dst, blocks)),
  tq1_0: plain(tq1_0, (program, src, dst, blocks) => program.encodeTq1(src, dst, blocks)),
  mxfp4: plain(mxfp4, (program, src, dst, blocks) => program.encodeMxfp4(src, dst, blocks)),
  nvfp4: plain(nvfp4, (program, src, dst, blocks) => program.encodeNvfp4(src, dst, blocks)),
  q4_0: simple(q4_0, signed(4)),
  q5_0: simple(q5_0, signed(5)),
  q4_1: simple(q4_1, affine(4)),
  q5_1: simple(q5_1, affine(5)),
  q2_k: ownSigma(q2_k, kQuant(2)),
  q3_k: ownSigma(q3_k, kQuant(3)),
  q4_k: ownSigma(q4_k, kQuant(4)),
  q5_k: ownSigma(q5_k, kQuant(5)),
  q6_k: ownSigma(q6_k, kQuant(6)),
  iq4_nl: ownSigma(iq4_nl, iq4Nl),
  iq4_xs: ownSigma(iq4_xs, iq4Xs),
};

/** Decoders in WebAssembly; the IQ types with codebooks have none. */
const DECODERS: Partial<Record<GgmlFormatName, DecodeCall>> = {
  f16: (program, src, dst, count) => program.decodeHalf(src, dst, count),
  bf16: (program, src, dst, count) => program.decodeBfloat(src, dst, count),
  q8_0: (program, src, dst, blocks) => program.decodeBytes(src, dst, blocks),
  q5_1: (program, src, dst, blocks) => program.decodeAffine(src, dst, blocks, 5),
  q5_0: (program, src, dst, blocks) => program.decodeSigned(src, dst, blocks, 5),
  q4_1: (program, src, dst, blocks) => program.decodeAffine(src, dst, blocks, 4),
  q4_0: (program, src, dst, blocks) => program.decodeSigned(src, dst, blocks, 4),
  q2_0: (program, src, dst, blocks) => program.decodeQ2(src, dst, blocks),
  q1_0: (program, src, dst, blocks) => program.decodeQ1(src, dst, blocks),
  q6_k: (program, src, dst, blocks) => program.decodeQ6K(src, dst, blocks),
  q5_k: (program, src, dst, blocks) => program.decodeQ5K(src, dst, blocks),
  q4_k: (program, src, dst, blocks) => program.decodeQ4K(src, dst, blocks),
  q3_k: (program, src, dst, blocks) => program.decodeQ3K(src, dst, blocks),
  q2_k: (program, src, dst, blocks) => program.decodeQ2K(src, dst, blocks),
  iq4_nl: (program, src, dst, blocks) => program.decodeIq4Nl(src, dst, blocks),
  iq4_xs: (program, src, dst, blocks) => program.decodeIq4Xs(src, dst, blocks),
  tq2_0: (program, src, dst, blocks) => program.decodeTq2(src, dst, blocks),
  tq1_0: (program, src, dst, blocks) => program.decodeTq1(src, dst, blocks),
  mxfp4: (program, src, dst, blocks) => program.decodeMxfp4(src, dst, blocks),
  nvfp4: (program, src, dst, blocks) => program.decodeNvfp4(src, dst, blocks),
};

function withDecoder(name: GgmlFormatName): GgmlFormat {
  const row: GgmlFormat = { ...GGML_FORMATS, ...ENCODERS }[name];
  const call = DECODERS[name];
  return call === undefined ? row : { ...row, decode: decoder(row, call) };
}

/** The table in WebAssembly; what it has no program for is the TypeScript. */
export const WASM_FORMATS = Object.fromEntries(
  GGML_FORMAT_NAMES.map((name) => [name, withDecoder(name)]),
) as GgmlFormats;
