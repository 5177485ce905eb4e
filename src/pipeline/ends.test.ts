/** Rules for the first and the last layer. */
import { expect, test } from "vitest";
import { normalsOf, smallCnn } from "../ir/networks.case.ts";
import { parseRecipe, plainRecipe, type Rule } from "../recipes/recipe.ts";
import { schemeNamed } from "../recipes/schemes.ts";
import { endsOf, planModel } from "./plan.ts";
import { prepare } from "./prepare.ts";

const cnn = smallCnn({ side: 12, channels: 32, classes: 10 }, normalsOf(5));
const { rules: ENDS } = parseRecipe('{ "rules": [{ "match": { "ends": true }, "scheme": "w8a8" }] }', "test");
const { model } = await prepare(cnn, {}, { static: true, opset: 25 });

/** Types of the weights in the order of the graph. */
function typesWith(rules: readonly Rule[]): readonly (string | undefined)[] {
  const { nodes } = planModel(model, { ...plainRecipe(schemeNamed("w2a8")), rules });
  const weighted = nodes.filter(({ weight }) => weight !== undefined).sort((a, b) => a.index - b.index);
  return weighted.map(({ weight }) => weight?.scheme.dtype);
}

test("only the first and the last layer get the scheme of the rule", () => {
  const plain = typesWith([]);
  expect(plain.length).toBeGreaterThan(2);
  expect(new Set(plain)).toEqual(new Set(["int2"]));
  expect(typesWith(ENDS)).toEqual(["int8", ...plain.slice(2), "int8"]);
});

test("later rules win over it", () => {
  const [first] = [...endsOf(model)];
  const rule: Rule = { match: { node: [first!.name] }, scheme: "w4a8" };
  expect(typesWith([...ENDS, rule]).at(0)).toBe("int4");
  expect(typesWith([rule, ...ENDS]).at(0)).toBe("int8");
});

test("layers are nodes that read weights: what comes before and behind them is no end", () => {
  const ends = [...endsOf(model)];
  expect(ends.map(({ op }) => op)).toEqual(["Conv", "Gemm"]);
  expect(endsOf({ ...model, graph: { ...model.graph, nodes: [] } }).size).toBe(0);
});

test("a recipe says true or nothing", () => {
  expect(() => parseRecipe('{ "rules": [{ "match": { "ends": false }, "scheme": "w8a8" }] }', "test")).toThrow(
    /rules\[0\]\.match\.ends: expected true/,
  );
});
