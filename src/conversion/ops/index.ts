/** The table: TFLite ops that can be said in ONNX, by their names in TFLite's schema. */
import type { ConversionRow } from "../row.ts";
import { arrangementRows } from "./arrangement.ts";
import { elementwiseRows } from "./elementwise.ts";
import { imageRows } from "./images.ts";
import { partRows } from "./parts.ts";
import { productRows } from "./products.ts";
import { reductionRows } from "./reductions.ts";
import { windowRows } from "./windows.ts";

/** Row by op. */
export const CONVERSIONS: ReadonlyMap<string, ConversionRow> = new Map<string, ConversionRow>(
  Object.entries({
    ...windowRows,
    ...productRows,
    ...elementwiseRows,
    ...reductionRows,
    ...arrangementRows,
    ...partRows,
    ...imageRows,
  }),
);

export { FUSED } from "./elementwise.ts";
