/** Cards read as PyYAML reads them (scripts/peers/convert-hf.py), and what is not read is named. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { type FrontValue, frontMatter, scalarOf } from "./front-matter.ts";

type Written =
  | null
  | string
  | { readonly other: true }
  | { readonly list: Written[] }
  | { readonly map: [string, Written][] };
const PATH = resolve(import.meta.dirname, "../../tests/golden/gguf/folders.json");
const { cards } = JSON.parse(readFileSync(PATH, "utf8")) as {
  readonly cards: readonly (readonly [string, [string, Written][] | null])[];
};

const KEYS = new Set([
  ...["name", "author", "version", "description", "license", "license_name", "url", "organization", "tags", "language"],
  ...["base_model", "datasets", "model_name", "model_creator", "pipeline_tag"],
]);

function written(value: FrontValue): Written {
  const scalar = scalarOf(value);
  if (value === null) return null;
  if (scalar !== undefined) return scalar.isText ? scalar.text : { other: true };
  if (value instanceof Map) return { map: [...value].map(([key, inner]) => [key, written(inner)]) };
  return { list: (value as readonly FrontValue[]).map(written) };
}

/** What stops PyYAML: fewbit takes "Model: the second" for a text. */
const STOPPED = cards.filter(([, found]) => found === null).map(([text]) => text);

test.each(cards.filter(([, found]) => found !== null))("%j is read as there", (text, expected) => {
  const { values, unreadable } = frontMatter(text, KEYS);
  expect([...values].map(([key, value]) => [key, written(value)])).toEqual(expected);
  expect(unreadable).toEqual([]);
});

test("a text with a colon is read all the same", () => {
  expect(STOPPED).toEqual(["---\nname: Model: the second\n---\n"]);
  expect(written(frontMatter(STOPPED[0]!, KEYS).values.get("name")!)).toBe("Model: the second");
});

test.each(["name: {a: b}", "name: &x a", "name: [a, [b]]", "name: [a", 'name: "a', "tags:\n- !!str a", "name: | x"])(
  "%j is left out and named",
  (line) => {
    const { values, unreadable } = frontMatter(`---\n${line}\nlicense: mit\n---\n`, KEYS);
    expect([...values.keys()]).toEqual(["license"]);
    expect(unreadable).toEqual([line.split(":")[0]]);
  },
);

test("keys that nobody asks for may have any form", () => {
  const text = "---\nmodel-index:\n- {a: [b, {c: d}]}\nwidget: *x\n{{ x }}\nlicense: mit\n---\n";
  expect([...frontMatter(text, KEYS).values.keys()]).toEqual(["license"]);
});

test("deep nesting and long texts end soon", () => {
  const deep = `---\ntags:\n${Array.from({ length: 5000 }, (_, i) => `${" ".repeat(i)}-`).join("\n")} x\n---\n`;
  expect(frontMatter(deep, KEYS).unreadable).toEqual(["tags"]);
  const hyphens = `---\ntags:\n${"- ".repeat(20_000)}x\nname: ${'"'.repeat(50_000)}\n---\n`;
  expect(frontMatter(hyphens, KEYS).values.size).toBe(0);
});
