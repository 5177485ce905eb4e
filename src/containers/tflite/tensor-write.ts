/** Constants and values to TFLite tensors. What a tensor said when it was read stays while the nouns agree with it. */
import type { Dim, Tensor } from "../../ir/model.ts";
import type { Quantization } from "../../ir/scheme.ts";
import { fail } from "../../numeric/errors.ts";
import { dtypeOf, tensorTypeOf } from "./dtypes.ts";
import { type TfliteTensorExtra, tensorExtra } from "./extra.ts";
import type { Typed } from "./graph-types.ts";
import { parametersOf, quantizationOf, sameQuantization } from "./quantization.ts";
import type { Table } from "./schema.ts";
import { shapeOf } from "./tensor-read.ts";

type Raw = Table<"Tensor">;

/** Whether it is a constant with plain data. */
export const isConstant = (typed: Typed): typed is Tensor => "data" in typed;

/** A number as it is written: absent where it was absent and is its default still. */
export const kept = (before: number | undefined, now: number, usual = 0): number | undefined =>
  before === undefined && now === usual ? undefined : now;

function typeField(typed: Typed, before: Raw | undefined, where: string): Pick<Raw, "type"> {
  const { dtype } = typed;
  if (before && dtypeOf(before.type ?? 0) === dtype) return before.type === undefined ? {} : { type: before.type };
  if (dtype === undefined)
    return fail("graph", `tflite: ${where} has no element type; TFLite needs one for every value`);
  const type = tensorTypeOf(dtype);
  return type === undefined
    ? fail("unsupported", `tflite: ${where} is ${dtype}, which TFLite does not have`)
    : { type };
}

const sameShape = (a: readonly Dim[] | undefined, b: readonly Dim[] | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && a.length === b.length && a.every((dim, axis) => dim === b[axis]));

type Shape = Pick<Raw, "shape" | "shape_signature" | "has_rank">;

/** Unknown lengths are 1 in the shape and -1 in its signature. */
function shapeFields(typed: Typed, before: Raw | undefined): Shape {
  const read = before && (isConstant(typed) ? (before.shape ?? []) : shapeOf(before));
  if (before && sameShape(read, typed.shape)) {
    const { shape, shape_signature, has_rank } = before;
    return {
      ...(shape && { shape }),
      ...(shape_signature && { shape_signature }),
      ...(has_rank !== undefined && { has_rank }),
    };
  }
  const dims = typed.shape;
  if (dims === undefined) return {};
  const shape = dims.map((dim) => (typeof dim === "number" ? dim : 1));
  const isKnown = dims.every((dim) => typeof dim === "number");
  return isKnown ? { shape } : { shape, shape_signature: dims.map((dim) => (typeof dim === "number" ? dim : -1)) };
}

type Details = Table<"MultiAxisQuantization">;

/** The quantization as read, with the numbers that its tensors have now. */
function renumbered(
  before: Raw["quantization"],
  extra: TfliteTensorExtra,
  index: (name: string) => number,
): Raw["quantization"] {
  const { details } = before ?? {};
  if (before === undefined || details === undefined || extra.scales === undefined) return before;
  const value = details.value as Details;
  const scales = kept(value.scales, index(extra.scales));
  const zeros = extra.zeroPoints === undefined ? value.zero_points : kept(value.zero_points, index(extra.zeroPoints));
  return { ...before, details: { ...details, value: { ...value, scales, zero_points: zeros } } };
}

function quantizationField(
  now: Quantization | undefined,
  extra: TfliteTensorExtra,
  index: (name: string) => number,
): Raw["quantization"] {
  const before = extra.asRead?.quantization;
  if (before && sameQuantization(quantizationOf(before, extra), now)) return renumbered(before, extra, index);
  return now && parametersOf(now, index);
}

/** The table of a tensor; `buffer` is its number, `index` gives those of other tensors of its graph. */
export function tensorTable(typed: Typed, buffer: number, index: (name: string) => number, graph: string): Raw {
  const extra = tensorExtra(typed);
  const { asRead, named } = extra;
  const {
    type: _,
    shape: __,
    shape_signature: ___,
    has_rank: ____,
    sparsity,
    external_buffer: outside,
    ...rest
  } = asRead ?? {};
  const isNamed = asRead !== undefined && typed.name === (named ?? asRead.name);
  const quantization = quantizationField(typed.quantization, extra, index);
  const number = kept(asRead?.buffer, buffer);
  return {
    ...rest,
    ...(!isConstant(typed) && sparsity && { sparsity }),
    ...(!isConstant(typed) && outside !== undefined && { external_buffer: outside }),
    ...typeField(typed, asRead, `"${typed.name}" of ${graph}`),
    ...shapeFields(typed, asRead),
    ...{ buffer: number, name: isNamed ? asRead.name : typed.name, quantization },
  } as Raw;
}
