/** Form `float16`: everything in half precision, except what can't be or must not. */
import { freshNames } from "../ir/edit.ts";
import type { Graph, Model } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import { liftConstants } from "./float16/constants.ts";
import { type Kept, keepNodes, type ReadConstant } from "./float16/keep.ts";
import { rewriteGraph } from "./float16/rewrite.ts";
import { type GraphTypes, graphTypes, typedGraphs } from "./float16/types.ts";
import { type Clamp, HALF_MAX } from "./float16/values.ts";

export interface HalfOptions {
  /** Inputs and outputs of the model stay float32; true by default. */
  readonly keepIo?: boolean;
  /** Op types that stay in float32 besides those that have to. */
  readonly blockedOps?: Iterable<string>;
  /** Names of nodes that stay in float32. */
  readonly blockedNodes?: Iterable<string>;
  /** `transformers.js`: clamp constants to [1e-7, 1e4] in magnitude and keep only its own list of ops. */
  readonly rules?: "fewbit" | "transformers.js";
}

/** Something to tell the user; the same fields as a finding of the report. */
export interface HalfFinding {
  readonly severity: "info" | "warning";
  readonly code: "half-overflow" | "half-clamped" | "half-infinity" | "half-flushed";
  readonly message: string;
  readonly remedy?: string;
}

export interface HalfResult {
  readonly model: Model;
  readonly findings: readonly HalfFinding[];
}

/** `min_positive_val` and `max_finite_val` of scripts/float16.py in huggingface/transformers.js. */
export const SCRIPT_CLAMP: Clamp = { min: 1e-7, max: 1e4 };
const FULL_RANGE: Clamp = { min: 0, max: HALF_MAX };

/** Half precision came to most ops with this version of the default operator set. */
const MIN_OPSET = 7;

/**
 * The model in half precision. Constants beyond 65504 keep their nodes in float32 and are named; those that stand for
 * infinity in masks become the largest half. The same model comes back when it holds no float32 value.
 */
export async function toFloat16(model: Model, options: HalfOptions = {}): Promise<HalfResult> {
  const asScripts = options.rules === "transformers.js";
  const clamp = asScripts ? SCRIPT_CLAMP : FULL_RANGE;
  const lifted: Model = { ...model, graph: liftConstants(model.graph) };
  const types = graphTypes(lifted.graph);
  if (!holdsFloat32(lifted.graph, types)) return { model, findings: [] };
  const opset = model.opsets[""] ?? MIN_OPSET;
  if (opset < MIN_OPSET)
    fail("unsupported", `float16 needs opset ${MIN_OPSET}, the model has ${opset}; convert it to a newer opset first`);
  const kept = await keepNodes(lifted, types, {
    blockedOps: new Set(options.blockedOps ?? []),
    blockedNodes: new Set(options.blockedNodes ?? []),
    asScripts,
  });
  const rewrite = { kept: kept.nodes, clamp, fresh: freshNames(lifted.graph) };
  const graph = rewriteGraph(rewrite, lifted.graph, types, options.keepIo === false ? "float16" : "float32");
  return { model: { ...model, graph }, findings: asScripts ? clampFindings(kept) : rangeFindings(kept) };
}

const holdsFloat32 = (root: Graph, types: GraphTypes): boolean =>
  [...typedGraphs(root, types)].some(({ graph, types: { of } }) =>
    [
      ...graph.tensors.keys(),
      ...graph.inputs.map(({ name }) => name),
      ...graph.nodes.flatMap(({ outputs }) => outputs),
    ].some((name) => of(name) === "float32"),
  );

const short = (value: number): string => Number(value.toPrecision(4)).toString();

/** Names listed in one message. */
const MAX_NAMES = 3;
const listed = (names: readonly string[]): string =>
  names.length <= MAX_NAMES
    ? names.map((name) => `"${name}"`).join(", ")
    : `${listed(names.slice(0, MAX_NAMES))} and ${names.length - MAX_NAMES} more`;

function clampFindings({ constants }: Kept): readonly HalfFinding[] {
  return constants
    .filter(({ loss }) => loss.largest > SCRIPT_CLAMP.max)
    .map(({ tensor, loss }) => ({
      severity: "warning",
      code: "half-clamped",
      message: `tensor "${tensor.name}" holds ${short(loss.largest)}; the transformers.js scripts clamp at ${SCRIPT_CLAMP.max}`,
      remedy: "use fp16 without the transformers.js settings: nodes with such values stay in float32",
    }));
}

function rangeFindings({ constants }: Kept): readonly HalfFinding[] {
  return [...constants.flatMap(overflowFindings), ...flushFindings(constants)];
}

function overflowFindings({ tensor, loss, readers }: ReadConstant): readonly HalfFinding[] {
  if (loss.overflowing > 0)
    return [
      {
        severity: "warning",
        code: "half-overflow",
        message: `tensor "${tensor.name}" holds ${short(loss.largest)}, beyond float16's ${HALF_MAX}; ${listed(readers)} stays in float32`,
      },
    ];
  if (loss.infinityLike === 0) return [];
  return [
    {
      severity: "info",
      code: "half-infinity",
      message: `tensor "${tensor.name}" holds ${short(loss.largest)} as a stand-in for infinity; it becomes ${HALF_MAX}`,
    },
  ];
}

function flushFindings(constants: readonly ReadConstant[]): readonly HalfFinding[] {
  const losing = constants.filter(({ loss }) => loss.flushed > 0 && loss.overflowing === 0);
  if (losing.length === 0) return [];
  const flushed = losing.reduce((sum, { loss }) => sum + loss.flushed, 0);
  const count = constants.reduce((sum, { loss }) => sum + loss.count, 0);
  const worst = [...losing].sort((a, b) => b.loss.flushed - a.loss.flushed).map(({ tensor }) => tensor.name);
  return [
    {
      severity: "info",
      code: "half-flushed",
      message: `${flushed} of ${count} weights are too small for float16 and become zero, most of them in ${listed(worst)}`,
    },
  ];
}
