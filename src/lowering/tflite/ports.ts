/** Inputs and outputs of a static TFLite graph: float32, or codes for callers that have codes. */
import type { ValueInfo } from "../../ir/model.ts";
import type { InputOutput } from "../../ir/plan.ts";
import { fail } from "../../numeric/errors.ts";
import { convert, declareCodes, declareFloats, type Grid, type State } from "./state.ts";

/** uint8 codes of the same values: everything moved up by 128. */
const UNSIGNED_SHIFT = 128;

/** The grid callers see; undefined where they see floats. */
function portGrid(io: InputOutput, inner: Grid, name: string): Grid | undefined {
  if (io === "float32") return undefined;
  if (io === inner.dtype) return inner;
  if (io === "uint8" && inner.dtype === "int8")
    return { ...inner, dtype: "uint8", zeroPoint: inner.zeroPoint + UNSIGNED_SHIFT };
  return fail("usage", `"${name}" is ${inner.dtype} inside; callers may have that or float32, not ${io}`);
}

/** Codes of an input, made where the graph begins. */
export function openInput(state: State, name: string): void {
  const inner = state.grids.get(name);
  if (inner === undefined) return;
  const seen = portGrid(state.io, inner, name);
  if (seen !== undefined) declareCodes(state, name, name, seen);
  if (seen === inner) {
    state.codes.set(name, name);
    return;
  }
  const codes = state.fresh(`${name}/${inner.dtype}`);
  declareCodes(state, codes, name, inner);
  convert(state, "QUANTIZE", name, codes);
  state.codes.set(name, codes);
  if (seen === undefined) state.floats.set(name, name);
}

/** Where a node writes the codes of an output of the graph; the output itself follows from them. */
export function closeOutput(state: State, { name }: ValueInfo): void {
  const inner = state.grids.get(name);
  const codes = state.codes.get(name);
  if (inner === undefined || codes === undefined || codes === name) return;
  const seen = portGrid(state.io, inner, name);
  if (seen === undefined) declareFloats(state, name, name);
  else declareCodes(state, name, name, seen);
  convert(state, seen === undefined ? "DEQUANTIZE" : "QUANTIZE", codes, name);
  if (seen === undefined) state.floats.set(name, name);
}

/** Whether callers see the inner codes themselves. */
export const isOpen = (state: State, name: string): boolean => state.grids.get(name)?.dtype === state.io;
