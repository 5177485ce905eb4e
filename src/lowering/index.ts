/** From a plan to an ONNX model: every planned node is replaced by the nodes of its form. */
import { mapGraphs, withTensors } from "../ir/edit.ts";
import type { Graph, Model, Node } from "../ir/model.ts";
import type { Form, NodePlan, Plan } from "../ir/plan.ts";
import { fail } from "../numeric/errors.ts";
import { bnb4Form } from "./bnb4.ts";
import { type LoweringState, lowerContext, loweringState } from "./context.ts";
import { dqForm } from "./dq.ts";
import { dynamicForm } from "./dynamic.ts";
import type { FormRow } from "./form.ts";
import { gatherForm } from "./gather.ts";
import { nbitsForm } from "./nbits.ts";
import { dequantizeForm, hybridForm } from "./tflite/forms.ts";

/** The forms that fit or don't fit node by node. */
export const FORMS: Readonly<Partial<Record<Form, FormRow>>> = {
  dynamic: dynamicForm,
  nbits: nbitsForm,
  bnb4: bnb4Form,
  gather: gatherForm,
  dq: dqForm,
  hybrid: hybridForm,
  dequantize: dequantizeForm,
};

const planKey = (scope: string, index: number): string => `${scope}\n${index}`;

/** Rewrites nodes in the forms that work node by node; the static and float16 forms see the whole graph. */
export function lowerNodes(model: Model, plan: Plan): Model {
  const plans = new Map(
    plan.nodes
      .filter(({ form }) => FORMS[form] !== undefined)
      .map((entry) => [planKey(entry.scope, entry.index), entry]),
  );
  if (plans.size === 0) return model;
  const state = loweringState(model);
  const graph = mapGraphs(model.graph, (inner, scope) => lowerGraph(state, plans, inner, scope));
  return { ...model, graph, opsets: state.opsets };
}

function lowerGraph(state: LoweringState, plans: ReadonlyMap<string, NodePlan>, graph: Graph, scope: string): Graph {
  const shared = new Map<string, readonly string[]>();
  let changed = false;
  const nodes = graph.nodes.flatMap((node, index): readonly Node[] => {
    const plan = plans.get(planKey(scope, index));
    if (plan === undefined) return [node];
    changed = true;
    const front: Node[] = [];
    const lower = FORMS[plan.form]?.lower ?? fail("unsupported", `form "${plan.form}" has no lowering`);
    const body = lower(lowerContext(state, graph, scope, node, shared, front), plan);
    return [...front, ...body];
  });
  const tensors = [...(state.added.get(scope)?.values() ?? [])];
  if (!changed && tensors.length === 0) return graph;
  return withTensors({ ...graph, nodes }, tensors);
}
