/** The papers say what the code does: options, schemes, recipes, links, and a sentence for every public export. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { ALGORITHMS } from "../src/algorithms/index.ts";
import { EXIT } from "../src/cli/command.ts";
import { COMMANDS } from "../src/cli/commands/index.ts";
import { OBSERVERS } from "../src/observers/index.ts";
import { FORMS, METRICS, parseRecipe, SCHEME_NAMES, SCHEMES } from "../src/pipeline/index.ts";
import { COMPRESSED_NAMES } from "../src/recipes/compressed-tensors.ts";
import { TRANSFORMERS_JS } from "../src/recipes/transformers-js.ts";

const ROOT = resolve(import.meta.dirname, "..");
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");
const PAPERS = [
  "README.md",
  "CONTRIBUTING.md",
  ...readdirSync(join(ROOT, "docs")).map((name) => `docs/${name}`),
].filter((path) => path.endsWith(".md"));
/** First cells of the table rows of a text, where they are code. */
const rows = (text: string): readonly string[] => [...text.matchAll(/^\| `([^`]+)`/gm)].map(([, cell]) => cell!);
/** The part of a paper under a heading. */
const section = (text: string, heading: string): string =>
  text.split(/^## /m).find((part) => part.startsWith(heading)) ?? "";

describe("docs/cli.md", () => {
  const text = read("docs/cli.md");

  test.each(COMMANDS)("$name has a section with its arguments and all of its options, no others", (command) => {
    const own = section(text, `fewbit ${command.name}\n`);
    expect(own).toContain(`\`fewbit ${[command.name, ...command.arguments.map(({ name }) => name)].join(" ")}`);
    expect(rows(own)).toEqual(command.options.map(({ flags }) => flags));
  });

  test("lists the exit codes", () => {
    const codes = [...text.matchAll(/^\| (\d+) +\|/gm)].map(([, code]) => Number(code));
    expect(codes).toEqual(Object.values(EXIT));
  });

  test("names every metric and observer", () => {
    const names = [...Object.keys(METRICS), ...OBSERVERS.map(({ name }) => name)];
    expect(names.filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
  });
});

describe("docs/schemes.md", () => {
  const text = read("docs/schemes.md");

  test("has a row for each of fewbit's schemes and for each transformers.js name with its suffix", () => {
    const dtypes = new Set(TRANSFORMERS_JS.map(({ name }) => name));
    const own = [...SCHEMES.onnx.values()].filter(({ name, suffix }) => suffix === undefined || !dtypes.has(name));
    expect(rows(section(text, "fewbit's own"))).toEqual(own.map(({ name }) => name));
    const contract = section(text, "The names of transformers.js");
    expect([...rows(contract)].sort()).toEqual([...dtypes].sort());
    for (const { name, suffix } of TRANSFORMERS_JS)
      expect(contract).toMatch(new RegExp(`\\| \`${name}\` +\\| \`${suffix}\``));
  });

  test("names every algorithm and observer", () => {
    const names = [...ALGORITHMS, ...OBSERVERS].map(({ name }) => name);
    expect(names.filter((name) => !text.includes(name))).toEqual([]);
  });
});

test("docs/tflite.md has a row for each scheme of TFLite", () => {
  expect(rows(section(read("docs/tflite.md"), "Schemes"))).toEqual([...SCHEMES.tflite.keys()]);
});

test("docs/safetensors.md has a row for each scheme of safetensors", () => {
  expect(rows(section(read("docs/safetensors.md"), "Schemes"))).toEqual(COMPRESSED_NAMES);
});

describe("docs/recipes.md", () => {
  const blocks = [...read("docs/recipes.md").matchAll(/^```json\n([\s\S]*?)^```/gm)].map(([, json]) => json!);
  const schema = JSON.parse(read("docs/recipe.schema.json"));

  test("every example is a recipe, and fits the schema", () => {
    expect(blocks.length).toBeGreaterThan(1);
    for (const json of blocks) {
      expect(() => parseRecipe(json, "docs/recipes.md")).not.toThrow();
      expect(problems(JSON.parse(json), schema, schema)).toEqual([]);
    }
  });

  test("the schema knows the schemes there are", () => {
    expect([...schema.$defs.scheme.enum].sort()).toEqual([...SCHEME_NAMES].sort());
  });

  test.each([
    ["an unknown key", { rule: [] }],
    ["an unknown scheme", { scheme: "w9" }],
    ["keep for the whole model", { scheme: "keep" }],
    ["a rule without a match", { rules: [{ scheme: "keep" }] }],
    ["a rule without a scheme", { rules: [{ match: {} }] }],
    ["a condition that does not exist", { rules: [{ match: { name: "x" }, scheme: "keep" }] }],
    ["numbers for names", { rules: [{ match: { op: [1] }, scheme: "keep" }] }],
    ["ends that are none", { rules: [{ match: { ends: false }, scheme: "keep" }] }],
    ["a pattern without end", { rules: [{ match: { pattern: "x".repeat(501) }, scheme: "keep" }] }],
  ])("parser and schema refuse %s", (_, json) => {
    expect(() => parseRecipe(JSON.stringify(json), "test")).toThrow();
    expect(problems(json, schema, schema)).not.toEqual([]);
  });
});

type Json = Readonly<Record<string, unknown>>;

/** As much of JSON Schema as the recipe's uses: what is wrong with a value. */
function problems(value: unknown, schema: Json, root: Json, where = "$"): readonly string[] {
  const found: string[] = [];
  const sub = (inner: unknown, to: unknown, at: string) => found.push(...problems(inner, to as Json, root, at));
  const { $ref, type, enum: names, anyOf, required, properties, items } = schema as Record<string, never>;
  if ($ref)
    sub(
      value,
      String($ref)
        .slice(2)
        .split("/")
        .reduce<unknown>((at, key) => (at as Json)[key], root),
      where,
    );
  if (anyOf && (anyOf as Json[]).every((each) => problems(value, each, root).length > 0))
    found.push(`${where}: fits none`);
  if (names && !(names as unknown[]).includes(value)) found.push(`${where}: ${value} is not listed`);
  if ("const" in schema && value !== schema.const) found.push(`${where}: not ${schema.const}`);
  const kind = Array.isArray(value) ? "array" : typeof value;
  if (type && ![type].flat().includes(kind as never)) found.push(`${where}: is ${kind}`);
  if (typeof value === "string" && value.length > Number(schema.maxLength ?? Number.POSITIVE_INFINITY))
    found.push(`${where}: too long`);
  if (Array.isArray(value)) for (const [i, each] of value.entries()) sub(each, items ?? {}, `${where}[${i}]`);
  if (kind === "object") {
    for (const key of (required ?? []) as string[]) if (!(key in (value as Json))) found.push(`${where}: no ${key}`);
    for (const [key, inner] of Object.entries(value as Json))
      if (properties?.[key]) sub(inner, properties[key], `${where}.${key}`);
      else if (schema.additionalProperties === false) found.push(`${where}: unknown ${key}`);
  }
  return found;
}

describe("the papers", () => {
  test.each(PAPERS)("%s links to files that exist", (path) => {
    const links = [...read(path).matchAll(/\]\(([^)#\s]+)(#[^)]*)?\)/g)].map(([, target]) => target!);
    const local = links.filter((target) => !/^[a-z]+:/.test(target));
    expect(local.filter((target) => !existsSync(join(ROOT, dirname(path), target)))).toEqual([]);
  });

  test("docs/extending.md names every form", () => {
    const text = read("docs/extending.md");
    expect(Object.keys(FORMS).filter((form) => !text.includes(`\`${form}\``))).toEqual([]);
  });

  test("every public export has a sentence", () => {
    const script = join(ROOT, "scripts", "docs.js");
    expect(execFileSync(process.execPath, [script], { encoding: "utf8" })).toMatch(/ 0 exports without a sentence/);
  });
});
