/** The TypeScript table of all number formats that llama-quantize writes. */
import type { GgmlFormat } from "./format.ts";
import { mxfp4, nvfp4 } from "./fp4.ts";
import { iq1_m } from "./iq1-m.ts";
import { iq1_s } from "./iq1-s.ts";
import { latticeFormats } from "./iq2-iq3.ts";
import { iq4_nl, iq4_xs } from "./iq4.ts";
import { q2_k, q4_k, q5_k } from "./k-quants.ts";
import { q3_k, q6_k } from "./k-signed.ts";
import { searchFor } from "./lattice-search.ts";
import { q1_0, q2_0 } from "./one-bit.ts";
import { bf16, f16, f32 } from "./plain.ts";
import { q4_0, q4_1, q5_0, q5_1, q8_0 } from "./simple.ts";
import { tq1_0, tq2_0 } from "./ternary.ts";

const { iq2_s, iq2_xs, iq2_xxs, iq3_s, iq3_xxs } = latticeFormats(searchFor);

/** One row for every type, by ggml's name in lower case. */
export const GGML_FORMATS = {
  f32,
  f16,
  bf16,
  q8_0,
  q5_1,
  q5_0,
  q4_1,
  q4_0,
  q2_0,
  q1_0,
  q6_k,
  q5_k,
  q4_k,
  q3_k,
  q2_k,
  iq4_nl,
  iq4_xs,
  iq3_s,
  iq3_xxs,
  iq2_s,
  iq2_xs,
  iq2_xxs,
  iq1_m,
  iq1_s,
  tq2_0,
  tq1_0,
  mxfp4,
  nvfp4,
} satisfies Readonly<Record<string, GgmlFormat>>;

/** Names of the types. */
export type GgmlFormatName = keyof typeof GGML_FORMATS;

/** What every implementation of the formats offers. */
export type GgmlFormats = Readonly<Record<GgmlFormatName, GgmlFormat>>;

/** All names, from many bits to few, families together. */
export const GGML_FORMAT_NAMES = Object.keys(GGML_FORMATS) as readonly GgmlFormatName[];

/** Whether a name is that of a type. */
export const isGgmlFormat = (name: string): name is GgmlFormatName => Object.hasOwn(GGML_FORMATS, name);

/** Bytes of so many values, a multiple of the block. */
export function ggmlBytes(type: GgmlFormatName, values: number): number {
  const { block, bytes } = GGML_FORMATS[type];
  return (values / block) * bytes;
}
