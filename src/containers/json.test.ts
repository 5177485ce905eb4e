import { expect, test } from "vitest";
import { FewbitError } from "../numeric/errors.ts";
import { rng } from "../numeric/rng.ts";
import { isJsonObject, type Json, parseJson, utf8Text } from "./json.ts";

const LIMITS = { where: "x.json", depth: 5, values: 100 };
const parse = (text: string): Json => parseJson(text, LIMITS);

/** Maps as objects, for comparing with what JSON.parse makes. */
const plain = (json: Json): unknown =>
  isJsonObject(json)
    ? Object.fromEntries([...json].map(([key, value]) => [key, plain(value)]))
    : Array.isArray(json)
      ? json.map(plain)
      : json;

test.each([
  '{"a":1,"b":[true,false,null,"x"]}',
  " [ ] ",
  "{}",
  "-0.5e+3",
  "1e999",
  '"\\u00e9\\n\\"\\\\ \\ud83d\\ude00"',
  '{"a":{"b":[{"c":[]}]}}',
  "\t\r\n[1 , 2]",
])("%j means what JSON.parse says", (text) => {
  expect(plain(parse(text))).toEqual(JSON.parse(text));
});

test.each([
  "",
  "{",
  "[1,]",
  '{"a":1,}',
  "{a:1}",
  "01",
  "+1",
  ".5",
  "1.",
  "nul",
  "[1] 2",
  '"\n"',
  '"\\x"',
  '"\\u12"',
  '"open',
  "[1 2]",
  '{"a" 1}',
  "\u00a0[1]",
])("%j is no JSON, and the message says where", (text) => {
  expect(() => JSON.parse(text)).toThrow();
  expect(() => parse(text)).toThrowError(/^x\.json: /);
});

test("a lone surrogate is refused: it has no UTF-8", () => {
  expect(() => parse('"\\ud800"')).toThrowError("valid escapes");
});

test("a key that occurs twice is refused, names of JavaScript's own objects are ordinary keys", () => {
  expect(() => parse('{"a":1,"a":1}')).toThrowError('key "a" occurs twice');
  const found = parse('{"__proto__":{"x":1},"constructor":2}');
  expect(isJsonObject(found) && [...found.keys()]).toEqual(["__proto__", "constructor"]);
  expect(({} as Record<string, unknown>).x).toBeUndefined();
});

test("depth and number of values are limited before the stack or the memory is", () => {
  expect(plain(parse("[[[[[]]]]]"))).toEqual([[[[[]]]]]);
  expect(() => parse("[[[[[[]]]]]]")).toThrowError("nest deeper than 5");
  expect(() => parse("[".repeat(1_000_000))).toThrowError("nest deeper than 5");
  expect(() => parse(`[${"1,".repeat(100)}1]`)).toThrowError("more than 100 values");
});

test("2,000 damaged texts are parsed exactly where JSON.parse does, but for keys that occur twice", () => {
  const source =
    '{"w.0":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"n\\u00e9":[true,null,-1.5e3,"\\ud83d\\ude00"]}';
  const random = rng(5).uniform;
  for (let i = 0; i < 2000; i++) {
    const chars = [...source];
    for (let edits = 0; edits < 1 + random() * 3; edits++)
      chars[Math.floor(random() * chars.length)] = [...'{}[]",:\\0919eEtfn \u0001'][Math.floor(random() * 20)] ?? "";
    const text = chars.join("");
    let expected: unknown;
    try {
      expected = JSON.parse(text);
    } catch {
      expect(() => parse(text)).toThrow(FewbitError);
      continue;
    }
    try {
      expect(plain(parse(text))).toEqual(expected);
    } catch (error) {
      expect(String(error)).toMatch(/occurs twice|valid escapes|nest deeper/);
    }
  }
});

test("bytes that are not UTF-8 are refused", () => {
  expect(utf8Text(new TextEncoder().encode("é"), "x")).toBe("é");
  expect(() => utf8Text(Uint8Array.of(0xff), "x")).toThrowError("not UTF-8");
});
