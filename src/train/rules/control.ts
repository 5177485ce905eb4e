/** Ops that hold graphs. */
import { subgraphs } from "../../ir/attributes.ts";
import type { Rule, Rules } from "../rule.ts";

/** The same condition picks the branch of the way back, which runs its forward nodes again. */
const branches: Rule = (node, context) => {
  const wanted = context.captured();
  const back = subgraphs(node).map(({ attribute, graph }) => [attribute, context.backward(graph)] as const);
  const gradients = context.emitMany("If", node.inputs, wanted.length, Object.fromEntries(back));
  for (const [index, name] of wanted.entries()) context.flow(name, gradients[index]!);
  return [];
};

export const controlRules: Rules = { If: branches };
