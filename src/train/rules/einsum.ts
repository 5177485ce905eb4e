/** Einsum: the gradient of an operand is an Einsum of the output's gradient and the other operands. */
import type { Dim, Node } from "../../ir/model.ts";
import { type Equation, equationOf, equationText, REST } from "../equation.ts";
import { expandLike, unbroadcast } from "../forms.ts";
import { incoming, type Rule, type RuleContext, type Rules } from "../rule.ts";

/** Diagonals and "..." behind a letter are refused. */
function readable(node: Node, context: RuleContext): Equation {
  const equation = equationOf(node);
  const text = () => equationText(equation);
  for (const term of [...equation.operands, equation.output]) {
    if (new Set(term).size !== term.length) context.refuse(`"${text()}" reads a diagonal, which has no rule`);
    if (term.lastIndexOf(REST) > 0) context.refuse(`"${text()}" has axes in front of "...", which has no rule`);
  }
  return equation;
}

/** True where no axis can have been broadcast: every letter has one length everywhere. */
function sameLengths(node: Node, { operands }: Equation, context: RuleContext): boolean {
  const lengths = new Map<string, Dim>();
  return operands.every((term, at) =>
    term.every((letter, axis) => {
      const length = context.dims(node.inputs[at]!)?.[axis] ?? null;
      if (letter === REST || length === null) return false;
      const found = lengths.get(letter) ?? length;
      lengths.set(letter, found);
      return found === length;
    }),
  );
}

function operandGradient(node: Node, equation: Equation, at: number, context: RuleContext): string {
  const { operands, output } = equation;
  const term = operands[at]!;
  const others = operands.filter((_, other) => other !== at);
  const known = new Set([output, ...others].flat());
  const result = [...(known.has(REST) ? [REST] : []), ...term.filter((letter) => letter !== REST && known.has(letter))];
  const inputs = [incoming(context), ...node.inputs.filter((_, other) => other !== at)];
  const sum = context.emit("Einsum", inputs, {
    equation: equationText({ operands: [output, ...others], output: result }),
  });
  // axes that only this operand has were summed: every element along them has the same gradient
  const missing = term.flatMap((letter, axis) => (known.has(letter) ? [] : [axis - term.length]));
  if (missing.length === 0 && sameLengths(node, equation, context)) return sum;
  const whole = missing.length === 0 ? sum : context.emit("Unsqueeze", [sum, context.ints(missing)]);
  // a length of 1 may stand for any other, here or in the other operands
  const full = expandLike(context, whole, node.inputs[at]!);
  return unbroadcast(context, full, node.inputs[at]!, full);
}

const einsum: Rule = (node, context) => {
  const equation = readable(node, context);
  return node.inputs.map((_, at) => (context.wants(at) ? operandGradient(node, equation, at, context) : undefined));
};

export const einsumRules: Rules = { Einsum: einsum };
