/** What a lowering to TFLite collects on its way through the graph. */
import { node as makeNode } from "../../ir/build.ts";
import type { Dialect } from "../../ir/dialect.ts";
import { dialectOf } from "../../ir/dialects.ts";
import { freshNames } from "../../ir/edit.ts";
import type { Graph, Model, Node, Tensor, ValueInfo } from "../../ir/model.ts";
import type { InputOutput, NodePlan, Plan, ValuePlan } from "../../ir/plan.ts";
import { scaleOwner } from "../../ir/scale-owner.ts";
import type { Stats } from "../../ir/stats.ts";
import type { DType } from "../../numeric/dtypes.ts";
import type { Affine } from "../../numeric/qparams.ts";
import { gridOf } from "../qdq.ts";
import { oneGrid } from "./weights.ts";

/** Scale, zero point and type of the codes of a value. */
export interface Grid extends Affine {
  readonly dtype: DType;
}

/** Everything a lowering knows and makes. */
export interface State {
  readonly graph: Graph;
  readonly dialect: Dialect;
  readonly io: InputOutput;
  readonly plans: ReadonlyMap<Node, NodePlan>;
  /** By value of the float model. */
  readonly grids: ReadonlyMap<string, Grid>;
  readonly fresh: (wish: string) => string;
  readonly nodes: Node[];
  readonly tensors: Map<string, Tensor>;
  /** New and changed types of values. */
  readonly types: Map<string, ValueInfo>;
  /** Where the codes of a value are, and where its floats are when it was made as codes. */
  readonly codes: Map<string, string>;
  readonly floats: Map<string, string>;
  /** Coded weights by all that decides over them. */
  readonly weights: Map<string, Tensor>;
}

function gridsOf(plan: Plan, stats: Stats | undefined): ReadonlyMap<string, Grid> {
  const values = new Map(plan.values.map((value) => [value.value, value]));
  const roots = plan.values.filter(({ sameAs }) => sameAs === undefined);
  const own = new Map(
    roots.map((value): [ValuePlan, Grid] => [value, { dtype: value.scheme.dtype, ...gridOf(value, stats) }]),
  );
  return new Map(plan.values.map(({ value }) => [value, own.get(scaleOwner(values, value))!]));
}

/** The state in front of the first node. */
export function startState(model: Model, plan: Plan, stats: Stats | undefined): State {
  const { graph } = model;
  return {
    ...{ graph, dialect: dialectOf(model), io: plan.io ?? "float32", fresh: freshNames(graph) },
    plans: new Map(plan.nodes.filter(({ scope }) => scope === "").map((entry) => [graph.nodes[entry.index]!, entry])),
    grids: gridsOf(plan, stats),
    ...{ nodes: [], tensors: new Map(), types: new Map() },
    ...{ codes: new Map(), floats: new Map(), weights: new Map() },
  };
}

/** Declared type of a value of the float model. */
export const typeOf = ({ graph }: State, name: string): ValueInfo =>
  graph.values.get(name) ?? [...graph.inputs, ...graph.outputs].find((port) => port.name === name) ?? { name };

/** Declares `name` as codes of the value `like`. */
export function declareCodes(state: State, name: string, like: string, { dtype, ...grid }: Grid): void {
  const { shape } = typeOf(state, like);
  state.types.set(name, { name, dtype, ...(shape && { shape }), quantization: oneGrid(grid) });
}

/** Declares `name` as floats of the value `like`. */
export function declareFloats(state: State, name: string, like: string): void {
  const { shape } = typeOf(state, like);
  state.types.set(name, { name, dtype: "float32", ...(shape && { shape }) });
}

/** A QUANTIZE or DEQUANTIZE. */
export const convert = (state: State, op: "QUANTIZE" | "DEQUANTIZE", from: string, to: string): void => {
  state.nodes.push(makeNode(op, [from], [to]));
};
