import type { GgmlFormat } from "./format.ts";
import { mxfp4, nvfp4 } from "./fp4.ts";
import { iq1_m, iq1_s } from "./iq1.ts";
import { iq2_s, iq2_xs, iq2_xxs, iq3_s, iq3_xxs } from "./iq2-iq3.ts";
import { iq4_nl, iq4_xs } from "./iq4.ts";
import { q2_k, q4_k, q5_k } from "./k-quants.ts";
import { q3_k, q6_k } from "./k-signed.ts";
import { q1_0, q2_0 } from "./one-bit.ts";
import { bf16, f16, f32 } from "./plain.ts";
import { q4_0, q4_1, q5_0, q5_1, q8_0 } from "./simple.ts";
import { tq1_0, tq2_0 } from "./ternary.ts";

export const GGML_FORMATS = {
  f32, f16, bf16, q1_0, q2_0, q4_0, q4_1, q5_0, q5_1, q8_0, q2_k, q3_k, q4_k, q5_k, q6_k, tq1_0, tq2_0, iq1_s, iq1_m, iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s, iq4_nl, iq4_xs, mxfp4, nvfp4,
} satisfies Record<string, GgmlFormat>;
