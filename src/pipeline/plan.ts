/**
 * Step 3: what becomes what. Asks each node which scheme the recipe gives it and which form fits, and answers with plain
 * data; nothing is touched yet.
 */
import { dialectOf } from "../ir/dialects.ts";
import { graphs, nodeLabel } from "../ir/edit.ts";
import type { Model, Node } from "../ir/model.ts";
import type { Kept, NodePlan, Place, Plan } from "../ir/plan.ts";
import { constantsOf, siteOf } from "../lowering/context.ts";
import type { Site, WeightFit } from "../lowering/form.ts";
import { FORMS } from "../lowering/index.ts";
import { byteLength, elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import type { NamedScheme, Step } from "../recipes/named-scheme.ts";
import { plainRecipe, type Recipe, ruleFor } from "../recipes/recipe.ts";
import { SCHEMES, schemeNamed } from "../recipes/schemes.ts";
import { weightGrid } from "./given-grids.ts";
import { type Assigned, observedIn, planStatic, type StaticPlan } from "./plan-static.ts";

/** Decides for the whole model. Throws `unsupported` when the scheme fits nothing in it. */
export function planModel(model: Model, recipe: Recipe): Plan {
  const assigned = assign(model, recipe);
  const onlyGiven = recipe.onlyGiven === true && (model.graph.grids?.size ?? 0) > 0;
  const fixed = planStatic(model, assigned, recipe.observer, onlyGiven);
  const rest = assigned.filter(({ site }) => !fixed.taken.has(site.node));
  const explained = new Set(fixed.kept.map(keyOf));
  const weights = rest.map(planWeights);
  const nodes = [
    ...fixed.nodes,
    ...weights.filter((entry): entry is NodePlan => entry !== undefined && "form" in entry),
  ];
  const planned = new Set(nodes.map(keyOf));
  const inFloat = fixed.kept.filter((entry) => planned.has(keyOf(entry)));
  const kept = [
    ...fixed.kept.filter((entry) => !planned.has(keyOf(entry))),
    ...weights.filter(
      (entry): entry is Kept => entry !== undefined && "reason" in entry && !explained.has(keyOf(entry)),
    ),
  ];
  const stored = storedWeights(assigned, nodes);
  if (nodes.length === 0 && recipe.scheme.float16 === undefined) refuse(recipe, kept);
  return {
    scheme: recipe.scheme.name,
    nodes,
    values: fixed.values,
    kept,
    notes: [
      ...sharedNotes(stored),
      ...unusedGrids(model, fixed, recipe),
      ...inFloat.map(({ node, reason }) => `"${node}" computes in float: ${reason}`),
    ],
    ...(recipe.scheme.static?.io === undefined ? {} : { io: recipe.scheme.static.io }),
    ...(recipe.scheme.float16 === undefined ? {} : { float16: recipe.scheme.float16 }),
    bytes: plannedBytes(model, stored),
  };
}

/** Nodes of the main graph that run in integers under some scheme. */
export function integerNodes(model: Model): ReadonlySet<Node> {
  const schemes = [...SCHEMES[model.container].values()].filter((scheme) => scheme.static !== undefined);
  return new Set(
    schemes.flatMap((scheme) => {
      const recipe = plainRecipe(scheme);
      return [...planStatic(model, assign(model, recipe), recipe.observer).taken];
    }),
  );
}

const keyOf = (place: Place): string => `${place.scope}\n${place.index}`;

/** The first and the last node of the main graph that read weights where its operator has them. */
export function endsOf(model: Model): ReadonlySet<Node> {
  const dialect = dialectOf(model);
  const { nodes, tensors } = model.graph;
  const layers = nodes.filter((node) =>
    dialect.row(node)?.weights.some(({ input }) => tensors.has(node.inputs[input] ?? "")),
  );
  return new Set([...layers.slice(0, 1), ...layers.slice(-1)]);
}

function assign(model: Model, recipe: Recipe): readonly Assigned[] {
  const constants = constantsOf(model);
  const ends = endsOf(model);
  return [...graphs(model.graph)].flatMap(({ scope, graph }) =>
    graph.nodes.map((node, index): Assigned => {
      const place: Place = { scope, index, node: nodeLabel(node), op: node.op };
      const rule = ruleFor(recipe, place, ends.has(node));
      const site = siteOf(model, constants, graph, scope, node);
      if (rule === undefined) return { site, place, scheme: recipe.scheme };
      if (rule.scheme === "keep") return { site, place, scheme: undefined, kept: rule.reason };
      return { site, place, scheme: recipe.tune(schemeNamed(rule.scheme, model.container)) };
    }),
  );
}

/** The first step whose form fits takes the node; a node with weights that none fits is kept, with the reasons. */
function planWeights({ site, place, scheme, kept }: Assigned): NodePlan | Kept | undefined {
  if (scheme === undefined) return holdsWeights(site) ? { ...place, reason: kept ?? "kept", byUser: true } : undefined;
  const reasons = new Set<string>();
  for (const step of stepsFor(site, scheme)) {
    if (step.ops !== undefined && !step.ops.includes(site.node.op)) continue;
    const fit = FORMS[step.form]?.fits(site, step.scheme) ?? `form ${step.form} is not available`;
    if (typeof fit !== "string")
      return { ...place, form: step.form, weight: weightPlan(site, fit, step), ...options(step) };
    reasons.add(fit);
  }
  if (scheme.steps.length === 0 || !holdsWeights(site)) return undefined;
  return { ...place, reason: [...reasons].join("; ") || `scheme ${scheme.name} has no form for ${site.node.op}` };
}

/** Weights that came with a grid are stored on it where nothing else fits. */
function stepsFor({ node, constant }: Site, { steps }: NamedScheme): readonly Step[] {
  return steps.length > 0 && node.inputs.some((name) => constant(name)?.grid) ? [...steps, ON_OWN_GRID] : steps;
}

const ON_OWN_GRID: Step = {
  form: "dq",
  scheme: { dtype: "int8", symmetric: true, granularity: { per: "axis" } },
  algorithm: "rtn",
};

const options = (step: Step) => (step.options === undefined ? {} : { options: step.options });

function weightPlan(site: Site, fit: WeightFit, step: Step): NonNullable<NodePlan["weight"]> {
  const tensor = site.constant(fit.tensor);
  const before = tensor === undefined ? 0 : byteLength(tensor.dtype, elementCount(tensor.shape));
  const after = FORMS[step.form]?.storedBytes(fit, step.scheme) ?? before;
  const plan = { ...fit, scheme: step.scheme, algorithm: step.algorithm, bytes: { before, after } };
  const stack = step.form === "dynamic" && fit.shape.length > 2;
  return (tensor && !stack && weightGrid(tensor, plan)) || plan;
}

/** A constant of two or more dimensions is a weight; scalars and vectors are parameters nobody quantizes alone. */
export function holdsWeights(site: Site): boolean {
  return site.node.inputs.some((name) => {
    const tensor = name === "" ? undefined : site.constant(name);
    return tensor?.dtype.startsWith("float") && tensor.shape.filter((dim) => dim > 1).length >= 2;
  });
}

/** One weight with all that will be stored for it. */
interface Stored {
  readonly tensor: string;
  readonly before: number;
  /** Bytes by form and grid: nodes that agree on both share the codes. */
  readonly codes: ReadonlyMap<string, number>;
  /** Nodes that read the float values still. */
  readonly others: number;
}

function storedWeights(assigned: readonly Assigned[], nodes: readonly NodePlan[]): readonly Stored[] {
  const uses = new Map(assigned.map(({ site, place }) => [keyOf(place), site.uses] as const));
  const byTensor = new Map<string, NodePlan[]>();
  for (const entry of nodes)
    if (entry.weight) byTensor.set(entry.weight.tensor, [...(byTensor.get(entry.weight.tensor) ?? []), entry]);
  return [...byTensor].map(([tensor, entries]) => ({
    tensor,
    before: entries[0]!.weight!.bytes.before,
    codes: new Map(entries.map(({ form, weight }) => [form + JSON.stringify(weight!.scheme), weight!.bytes.after])),
    others: (uses.get(keyOf(entries[0]!))?.(tensor) ?? 0) - entries.length,
  }));
}

/** Bytes of all constants before and after the plan. */
function plannedBytes(model: Model, stored: readonly Stored[]): Plan["bytes"] {
  let before = 0;
  for (const { graph } of graphs(model.graph)) for (const { data } of graph.tensors.values()) before += data.size;
  const change = (weight: Stored): number =>
    [...weight.codes.values()].reduce((sum, bytes) => sum + bytes, weight.others > 0 ? 0 : -weight.before);
  return { before, after: stored.reduce((sum, weight) => sum + change(weight), before) };
}

const sharedNotes = (stored: readonly Stored[]): readonly string[] =>
  stored
    .filter(({ others }) => others > 0)
    .map(({ tensor, others }) => `weight "${tensor}" is stored twice: ${others} other nodes read its float values`);

const NAMES_SHOWN = 5;

/** Grids that the model came with and the plan has no room for. */
function unusedGrids({ graph }: Model, fixed: StaticPlan, { scheme }: Recipe): readonly string[] {
  const weights = fixed.nodes.flatMap(({ weight }) => (weight && weight.qparams === undefined ? [weight.tensor] : []));
  const values = observedIn(fixed.values).filter((name) => graph.grids?.has(name));
  const names = [...weights.filter((name) => graph.tensors.get(name)?.grid !== undefined), ...values];
  if (names.length === 0) return [];
  const shown = names.slice(0, NAMES_SHOWN).map((name) => `"${name}"`);
  const more = names.length > NAMES_SHOWN ? ` and ${names.length - NAMES_SHOWN} more` : "";
  return [`${scheme.name} has no room for the model's own grids of ${shown.join(", ")}${more}: they get new ones`];
}

/** How a refusal ends; the list of schemes itself leaves it out. */
export const SEE_SCHEMES = "; fewbit schemes MODEL lists those that fit";

/** Nothing to do is an answer, not a model. */
function refuse({ scheme }: Recipe, kept: readonly Kept[]): never {
  const why = [...new Set(kept.map(({ op, reason }) => `${op}: ${reason}`))].slice(0, 3).join("; ");
  return fail(
    "unsupported",
    `scheme ${scheme.name} fits no node of this model (${why || "it has no weights of two or more dimensions"})${SEE_SCHEMES}`,
  );
}
