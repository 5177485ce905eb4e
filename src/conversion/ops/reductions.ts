/** Ops that take one number of many. */
import { ELEMENT_TYPES } from "../../containers/onnx/dtypes.ts";
import { along, inputAxes, oneOnly } from "../batch-state.ts";
import { axisOf, type ConversionRow, constantInts, flag, type Site } from "../row.ts";

const INT32 = ELEMENT_TYPES.int32.code;
const BOOL = ELEMENT_TYPES.bool.code;

/** Only ReduceSum takes its axes as an input before operator set 18. */
function reduced(site: Site, op: string, value: string): string {
  const { node, input, dims, emit, list } = site;
  const rank = dims(input(0)).length;
  const axes = [...new Set(constantInts(site, 1, "axis").map((axis) => axisOf(node, axis, rank)))];
  if (axes.length === 0) return value;
  const keepdims = flag(node, "keep_dims") ? 1 : 0;
  return op === "ReduceSum" ? emit(op, [value, list(axes)], { keepdims }) : emit(op, [value], { axes, keepdims });
}

/** The same reduction in ONNX. */
const reduction = (op: string): ConversionRow => ({
  convert: (site) => reduced(site, op, site.input(0)),
  batch: along(inputAxes(1)),
});

/** Truth values as numbers, since ONNX reduces no others. */
const logical = (op: string): ConversionRow => ({
  convert: (site) => {
    const numbers = site.emit("Cast", [site.input(0)], { to: INT32 });
    return site.emit("Cast", [reduced(site, op, numbers)], { to: BOOL });
  },
  batch: along(inputAxes(1)),
});

/** The place of the largest or smallest along an axis, which goes. */
const place = (op: string): ConversionRow => ({
  convert: (site) => {
    const { node, input, dims, dtype, emit } = site;
    const [axis = 0] = constantInts(site, 1, "axis");
    const at = emit(op, [input(0)], { axis: axisOf(node, axis, dims(input(0)).length), keepdims: 0 });
    return dtype(node.outputs[0]!) === "int64" ? at : emit("Cast", [at], { to: INT32 });
  },
  batch: along(inputAxes(1)),
});

/** The largest of the last axis and their places. */
const topK: ConversionRow = {
  convert: (site) => {
    const { input, int64, emit, emitAll, list } = site;
    const count = emit("Reshape", [int64(input(1)), list([1])]);
    const [values, places] = emitAll("TopK", [input(0), count], 2, { axis: -1 });
    return [values!, emit("Cast", [places!], { to: INT32 })];
  },
  batch: along(() => [-1]),
};

/** Places of what is true, one row each. */
const where: ConversionRow = {
  convert: ({ input, emit }) => emit("Transpose", [emit("NonZero", [input(0)])], { perm: [1, 0] }),
  batch: oneOnly,
};

export const reductionRows = {
  MEAN: reduction("ReduceMean"),
  SUM: reduction("ReduceSum"),
  REDUCE_MAX: reduction("ReduceMax"),
  REDUCE_MIN: reduction("ReduceMin"),
  REDUCE_PROD: reduction("ReduceProd"),
  REDUCE_ANY: logical("ReduceMax"),
  REDUCE_ALL: logical("ReduceMin"),
  ARG_MAX: place("ArgMax"),
  ARG_MIN: place("ArgMin"),
  TOPK_V2: topK,
  WHERE: where,
} satisfies Readonly<Record<string, ConversionRow>>;
