/** Do the scales and zero points of a tensor fit it? */
import { tensorExtra } from "./extra.ts";
import type { Typed } from "./graph-types.ts";

const INT32 = 2 ** 31;

/** What the numbers of the file say that the noun can't hold. */
function* rawComplaints(typed: Typed, where: string): Generator<string> {
  const { scale = [], zero_point: zeros = [] } = tensorExtra(typed).asRead?.quantization ?? {};
  if (zeros.length > 1 && zeros.length !== scale.length)
    yield `${where} has ${scale.length} scales and ${zeros.length} zero points; expected as many, or one, or none`;
  const outside = zeros.find((zero) => Number(zero) < -INT32 || Number(zero) >= INT32);
  if (outside !== undefined) yield `${where} has a zero point of ${outside}, which is no 32-bit integer`;
}

function* axisComplaints({ quantization, shape }: Typed, where: string): Generator<string> {
  const { scale, zeroPoint } = quantization?.qparams ?? { scale: [], zeroPoint: [] };
  const bad = scale.find((value) => !(Number.isFinite(value) && value >= 0));
  if (bad !== undefined) yield `${where} has a scale of ${bad}; expected a finite one from 0 on`;
  if (zeroPoint.length !== scale.length)
    yield `${where} has ${scale.length} scales and ${zeroPoint.length} zero points; expected as many`;
  const { axis } = quantization ?? {};
  if (axis === undefined) {
    if (scale.length > 1) yield `${where} has ${scale.length} scales but no axis`;
    return;
  }
  if (shape === undefined || scale.length <= 1) return;
  const length = shape[axis];
  if (!(axis >= 0 && axis < shape.length))
    yield `${where} is quantized along axis ${axis}, but has ${shape.length} dimensions`;
  else if (typeof length === "number" && length !== scale.length)
    yield `${where} has ${scale.length} scales along axis ${axis} of length ${length}`;
}

function* blockComplaints(
  { quantization, shape }: Typed,
  known: ReadonlyMap<string, Typed>,
  where: string,
): Generator<string> {
  const { blocks } = quantization ?? {};
  if (blocks === undefined) return;
  const { size, scales, zeroPoints } = blocks;
  const last = shape?.at(-1);
  if (!(size > 0) || (typeof last === "number" && last % size !== 0))
    yield `${where} is quantized in blocks of ${size}, which do not divide its last axis of length ${last}`;
  for (const name of [scales, zeroPoints])
    if (name !== undefined && !known.has(name))
      yield `${where} has its block scales in "${name}", which does not exist`;
}

/** What is wrong with the quantization of a constant or value. */
export function* checkQuantization(typed: Typed, known: ReadonlyMap<string, Typed>, where: string): Generator<string> {
  yield* rawComplaints(typed, where);
  yield* axisComplaints(typed, where);
  yield* blockComplaints(typed, known, where);
}
