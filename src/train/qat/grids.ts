/** Grids that are trained: initial values, and how a scale and a zero point become parameters of a graph. */
import { floatTensor, node as makeNode } from "../../ir/build.ts";
import type { Node, Tensor } from "../../ir/model.ts";
import type { NodePlan } from "../../ir/plan.ts";
import { codesOf, type QParams, type Scheme } from "../../ir/scheme.ts";
import type { FakeGrid } from "../ops/fake-quantize.ts";

type WeightPlan = NonNullable<NodePlan["weight"]>;

/** A grid in a training graph, by the names of its tensors. */
export interface LearnedGrid {
  readonly scheme: Scheme;
  /** Initializer that holds the natural logarithm of the scale, which keeps scales above zero; the scale itself when frozen. */
  readonly scale: string;
  /** Initializer that holds the zero point in codes; absent where it is 0 and stays so. */
  readonly zero?: string;
  /** The zero point is trained. */
  readonly movable: boolean;
}

/** What a FakeQuantize reads and how it is set. */
export interface GridNodes {
  readonly grid: LearnedGrid;
  readonly fake: FakeGrid;
  /** Inputs behind x. */
  readonly inputs: readonly string[];
  readonly nodes: readonly Node[];
  readonly tensors: readonly Tensor[];
}

interface Wish {
  readonly base: string;
  readonly scheme: Scheme;
  readonly shape: readonly number[];
  readonly start: QParams;
  readonly axis?: number;
  readonly group?: number;
  /** Zero points above the lowest code are trained: the value has negative numbers to make room for. */
  readonly offsets: boolean;
  readonly learn: boolean;
  readonly fresh: (wish: string) => string;
}

/** Scale and zero point as initializers, and the nodes between them and a FakeQuantize. */
export function gridNodes(wish: Wish): GridNodes {
  const { base, scheme, shape, start, axis, group, learn, fresh } = wish;
  const [low, high] = codesOf(scheme);
  const { zeroPoint } = start;
  const same = zeroPoint.every((zero) => zero === zeroPoint[0]) ? zeroPoint[0]! : undefined;
  const movable = wish.offsets && learn && !scheme.symmetric && same !== low;
  const shift = movable || same === undefined ? 0 : same;
  const [stored, scale] = learn
    ? [fresh(`${base}/log-scale`), fresh(`${base}/scale`)]
    : Array(2).fill(fresh(`${base}/scale`));
  const zero = movable || same === undefined ? fresh(`${base}/zero-point`) : undefined;
  return {
    grid: { scheme, scale: stored, ...(zero !== undefined && { zero }), movable },
    fake: {
      ...{ low: low - shift, high: high - shift },
      ...(axis !== undefined && { axis }),
      ...(group !== undefined && { group }),
      ...(scheme.odd && { odd: true }),
    },
    inputs: [scale, ...(zero === undefined ? [] : [zero])],
    nodes: learn ? [makeNode("Exp", [stored], [scale], { name: `${scale}/Exp` })] : [],
    tensors: [
      floatTensor(stored, shape, learn ? start.scale.map(Math.log) : start.scale),
      ...(zero === undefined ? [] : [floatTensor(zero, shape, zeroPoint)]),
    ],
  };
}

/** Axis of a weight's scales, the length of its groups, and the shape of its scales in a graph. */
export interface WeightLayout {
  readonly axis?: number;
  readonly group?: number;
  readonly shape: readonly number[];
}

/** How the scales of a planned weight lie in a graph; undefined for what fake quantization has no form for. */
export function weightLayout({ scheme, shape, axis }: WeightPlan): WeightLayout | undefined {
  if (scheme.codebook !== undefined) return undefined;
  const { granularity } = scheme;
  if (granularity.per === "tensor") return { shape: [] };
  if (granularity.per === "axis") return { axis, shape: [shape[axis]!] };
  const reduction = 1 - axis;
  if (shape.length !== 2 || shape[reduction]! % granularity.size !== 0) return undefined;
  const counts = shape.map((length, at) => (at === reduction ? length / granularity.size : length));
  return { axis: reduction, group: granularity.size, shape: counts };
}

/** Groups lie in a plan as [channels, groups]; in a graph they follow the order of the weight's axes. */
export function transposed<T extends Float32Array | Int32Array>(values: T, rows: number): T {
  const out = values.slice() as T;
  const columns = values.length / rows;
  for (let row = 0, at = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) out[column * rows + row] = values[at++]!;
  return out;
}
