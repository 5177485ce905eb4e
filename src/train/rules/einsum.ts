/** Einsum: the gradient of an operand is an Einsum of the output's gradient and the other operands. */
import { stringAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import { expandLike, unbroadcast } from "../forms.ts";
import { incoming, type Rule, type RuleContext, type Rules } from "../rule.ts";

/** Stands for "...", the axes without a letter. */
const REST = ".";

/** One letter for each axis. */
type Term = readonly string[];

interface Equation {
  readonly operands: readonly Term[];
  readonly output: Term;
}

/** Without an arrow the output has the letters that come once, in alphabetical order, behind the axes without one. */
function implicitOutput(operands: readonly Term[]): Term {
  const letters = operands.flat();
  const once = letters.filter((letter) => letter !== REST && letters.indexOf(letter) === letters.lastIndexOf(letter));
  return [...(letters.includes(REST) ? [REST] : []), ...once.toSorted()];
}

/** Reads the equation; diagonals and "..." behind a letter are refused. */
function equationOf(node: Node, context: RuleContext): Equation {
  const equation = stringAttribute(node, "equation", "");
  const [left = "", right] = equation.replaceAll(" ", "").replaceAll("...", REST).split("->");
  const operands = left.split(",").map((term) => [...term]);
  const output = right === undefined ? implicitOutput(operands) : [...right];
  for (const term of [...operands, output]) {
    if (new Set(term).size !== term.length) context.refuse(`"${equation}" reads a diagonal, which has no rule`);
    if (term.lastIndexOf(REST) > 0) context.refuse(`"${equation}" has axes in front of "...", which has no rule`);
  }
  return { operands, output };
}

const written = (terms: readonly Term[], result: Term): string =>
  `${terms.map((term) => term.join("")).join(",")}->${result.join("")}`.replaceAll(REST, "...");

/** True where no axis can have been broadcast: every letter has one length everywhere. */
function sameLengths(node: Node, { operands }: Equation, context: RuleContext): boolean {
  const lengths = new Map<string, number>();
  return operands.every((term, at) =>
    term.every((letter, axis) => {
      const length = context.shape(node.inputs[at]!)?.[axis];
      if (letter === REST || length === undefined) return false;
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
  const readable = new Set([output, ...others].flat());
  const result = [
    ...(readable.has(REST) ? [REST] : []),
    ...term.filter((letter) => letter !== REST && readable.has(letter)),
  ];
  const inputs = [incoming(context), ...node.inputs.filter((_, other) => other !== at)];
  const sum = context.emit("Einsum", inputs, { equation: written([output, ...others], result) });
  // axes that only this operand has were summed: every element along them has the same gradient
  const missing = term.flatMap((letter, axis) => (readable.has(letter) ? [] : [axis - term.length]));
  if (missing.length === 0 && sameLengths(node, equation, context)) return sum;
  const whole = missing.length === 0 ? sum : context.emit("Unsqueeze", [sum, context.ints(missing)]);
  const x = node.inputs[at]!;
  return expandLike(context, unbroadcastFrom(context, whole, x), x);
}

/** A length of 1 may stand for any other; those axes are summed. */
const unbroadcastFrom = (context: RuleContext, value: string, x: string): string =>
  unbroadcast(context, context.emit("Expand", [value, context.emit("Shape", [x])]), x, value);

const einsum: Rule = (node, context) => {
  const equation = equationOf(node, context);
  return node.inputs.map((_, at) => (context.wants(at) ? operandGradient(node, equation, at, context) : undefined));
};

export const einsumRules: Rules = { Einsum: einsum };
