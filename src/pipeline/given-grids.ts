/** Grids that a model came with, in the terms of the scheme it is quantized to now. */
import type { Tensor } from "../ir/model.ts";
import type { NodePlan, ValuePlan } from "../ir/plan.ts";
import { codesOf, type GivenGrid, type Scheme } from "../ir/scheme.ts";
import { DTYPES } from "../numeric/dtypes.ts";

/** Codes a scheme may use when they are given: all of its type, unless it names fewer itself. Odd ones are its own choice. */
function limitsOf({ dtype, codes, odd }: Scheme): readonly [number, number] {
  const { min, max } = DTYPES[dtype];
  return codes === undefined || odd ? [min, max] : codes;
}

/**
 * A given grid as that of a planned value: the same steps, the codes moved to where the scheme's type has them (unsigned
 * ones to zero, which QuantizeLinear clips to by itself). Undefined when the scheme has fewer codes than were given, or
 * zero is none of them.
 */
export function valueGrid(
  grid: GivenGrid,
  scheme: Scheme,
): (Pick<ValuePlan, "scheme"> & Required<Pick<ValuePlan, "qparams">>) | undefined {
  const { qparams, axis } = grid;
  const [low, high] = grid.codes;
  const zero = qparams.zeroPoint[0]!;
  const [first, last] = limitsOf(scheme);
  if (axis !== undefined || high - low > last - first || zero < low || zero > high) return undefined;
  const shift = first >= 0 ? first - low : Math.min(Math.max(0, first - low), last - high);
  const codes = [low + shift, high + shift] as const;
  const { codes: _, ...plain } = scheme;
  const row = DTYPES[scheme.dtype];
  const narrow = codes[0] > row.min || codes[1] < row.max;
  return {
    scheme: { ...plain, ...(narrow ? { codes } : {}) },
    qparams: { scale: qparams.scale[0]!, zeroPoint: zero + shift },
  };
}

type WeightPlan = NonNullable<NodePlan["weight"]>;

/**
 * A weight's plan with the grid it came with, as it is: per tensor or per channel. Undefined when the form stores another
 * granularity, the channels are on another axis, or the scheme has fewer codes.
 */
export function weightGrid({ grid }: Tensor, plan: WeightPlan): WeightPlan | undefined {
  const { shape, axis } = plan;
  const { odd, ...plain } = plan.scheme;
  const scheme = grid?.odd ? plan.scheme : plain;
  if (grid === undefined || scheme.granularity.per === "group" || scheme.codebook !== undefined) return undefined;
  if (grid.axis !== undefined && (grid.axis !== axis || scheme.granularity.per === "tensor")) return undefined;
  const { scale, zeroPoint } = grid.qparams;
  if (scale.length !== (grid.axis === undefined ? 1 : shape[axis])) return undefined;
  const shift = DTYPES[scheme.dtype].min < 0 && grid.codes[1] > DTYPES.int8.max ? DTYPES.int8.min : 0;
  const codes = [grid.codes[0] + shift, grid.codes[1] + shift] as const;
  const [first, last] = odd && grid.odd ? codesOf(scheme) : limitsOf(plan.scheme);
  if (codes[0] < first || codes[1] > last) return undefined;
  const zeros = zeroPoint.map((zero) => zero + shift);
  const symmetric = zeros.every((zero) => zero === 0);
  const inside = zeros.every((zero) => zero >= codes[0] && zero <= codes[1]);
  if (!inside || (!symmetric && grid.axis !== undefined)) return undefined;
  const granularity = grid.axis === undefined ? ({ per: "tensor" } as const) : scheme.granularity;
  return { ...plan, scheme: { ...scheme, symmetric, granularity, codes }, qparams: { scale, zeroPoint: zeros } };
}
