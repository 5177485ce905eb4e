/** Step 2: float rewrites that keep what the model computes and let the quantizer and the engine do their best. */
import { graphs, opTypes } from "../ir/edit.ts";
import type { Model } from "../ir/model.ts";
import { PASSES, type Pass, type PassContext, raiseOpset, type ValueType } from "../passes/index.ts";

/** What the model is prepared for. */
export interface PrepareOptions {
  /** The graph will run in integers from end to end (w8a8): rewrites for that too. */
  readonly static?: boolean;
  /** With grids of values that can clamp, as those without a zero point can't: rewrites that make clamps. */
  readonly clamping?: boolean;
  /** With fewer codes for values than 8 bits have: rewrites that let roundings even out. */
  readonly fewCodes?: boolean;
  /** Operator set the scheme needs at least (13 for per-channel Q/DQ, 21 for 4-bit or blocked DequantizeLinear). */
  readonly opset?: number;
  /** Take Q/DQ pairs out and keep their grids for the plan. */
  readonly grids?: boolean;
  /** Types of values as seen in a run of the model as it is before the rewrites for `static`; names are its own. */
  readonly typesOf?: (model: Model) => Promise<ReadonlyMap<string, ValueType> | undefined>;
}

/** A pass that changed something. */
export interface PrepareStep {
  readonly pass: string;
  /** In words: "nodes 70 -> 42, initializers 120 -> 61". */
  readonly change: string;
}

/** The rewritten model; the very same object where nothing was to do. */
export interface Prepared {
  readonly model: Model;
  /** Passes that changed something, in order. */
  readonly log: readonly PrepareStep[];
}

/** Runs the passes in order. Fails with code "unsupported" when the opset can't be raised, and says which op is why. */
export async function prepare(model: Model, context: PassContext, options: PrepareOptions = {}): Promise<Prepared> {
  const passes = PASSES[model.container];
  const raise = options.opset === undefined ? [] : [raiseOpset(options.opset)];
  const grids = options.grids && isQuantized(model) ? passes.grids : [];
  const general = await runPasses(model, context, [...passes.first, ...raise, ...grids, ...passes.general]);
  if (!options.static) return general;
  const types = await options.typesOf?.(general.model);
  const { clamping = false, fewCodes = false } = options;
  const all = [...passes.static, ...(clamping ? passes.clamping : []), ...(fewCodes ? passes.fewCodes : [])];
  const fixed = await runPasses(general.model, types === undefined ? context : { ...context, types }, all);
  return { model: fixed.model, log: [...general.log, ...fixed.log] };
}

/** Ops that say on which grid a value or a constant lies. */
const GRID_OPS = ["DequantizeLinear", "DEQUANTIZE", "FAKE_QUANT"];

const isQuantized = (model: Model): boolean => {
  const ops = opTypes(model);
  return GRID_OPS.some((op) => ops.has(op));
};

/** The model as plans want it: Q/DQ pairs taken out, their grids beside the float graph. The same model without any. */
export const takeGrids = async (model: Model): Promise<Model> =>
  isQuantized(model) ? (await runPasses(model, {}, PASSES[model.container].grids)).model : model;

async function runPasses(model: Model, context: PassContext, passes: readonly Pass[]): Promise<Prepared> {
  const log: PrepareStep[] = [];
  let current = model;
  for (const pass of passes) {
    const next = await pass.apply(current, context);
    if (next !== current) log.push({ pass: pass.name, change: changeOf(current, next) });
    current = next;
  }
  return { model: current, log };
}

type Counts = ReadonlyMap<string, number>;

function sizes(model: Model): Counts {
  const all = [...graphs(model.graph)];
  return new Map([
    ["nodes", all.reduce((sum, { graph }) => sum + graph.nodes.length, 0)],
    ["initializers", all.reduce((sum, { graph }) => sum + graph.tensors.size, 0)],
    ["inputs", model.graph.inputs.length],
    ["opset", model.opsets[""] ?? 0],
  ]);
}

/** How many nodes there are of each op. */
function ops(model: Model): Counts {
  const found = new Map<string, number>();
  for (const { graph } of graphs(model.graph))
    for (const { op } of graph.nodes) found.set(op, (found.get(op) ?? 0) + 1);
  return found;
}

function differences(old: Counts, now: Counts): readonly string[] {
  const names = [...new Set([...old.keys(), ...now.keys()])];
  return names.flatMap((name) => {
    const [was, is] = [old.get(name) ?? 0, now.get(name) ?? 0];
    return was === is ? [] : [`${name} ${was} -> ${is}`];
  });
}

function changeOf(before: Model, after: Model): string {
  const found = [sizes, ops].map((count) => differences(count(before), count(after)));
  return found.find((changes) => changes.length > 0)?.join(", ") ?? "names only";
}
