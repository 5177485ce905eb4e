/** Measured errors as JSON, so that a model is measured once for many sizes, and goes on after an interruption. */
import { isGgmlFormat } from "../../kernels/ggml/index.ts";
import { fail } from "../../numeric/errors.ts";
import type { MeasuredErrors, TypeErrors } from "./errors.ts";

/** What the files call themselves. */
const KIND = "fewbit weight errors";
/** A tensor takes some 600 characters; models have up to 50,000. */
export const MAX_ERRORS_CHARACTERS = 2 ** 27;

/** Errors of tensors as JSON text; `parseErrors` reads it back. */
export const formatErrors = (tensors: ReadonlyMap<string, MeasuredErrors>): string =>
  `${JSON.stringify({ kind: KIND, tensors: Object.fromEntries(tensors) }, null, 1)}\n`;

const wrong = (where: string, expected: string): never =>
  fail("format", `measured errors: ${where} is not ${expected}; delete the file and measure again`);

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function typeErrors(value: unknown, where: string): TypeErrors {
  if (!isRecord(value)) return wrong(where, "an object");
  for (const [type, error] of Object.entries(value)) {
    if (!isGgmlFormat(type)) wrong(`${where}.${type}`, "a type of ggml");
    if (typeof error !== "number" || !(error >= 0)) wrong(`${where}.${type}`, "a number from 0 up");
  }
  return value as TypeErrors;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    return fail("format", `measured errors: not JSON (${(cause as Error).message})`, cause);
  }
}

/** Errors from JSON text. Fails with code "format" for anything else, "limit" for texts of absurd length. */
export function parseErrors(text: string): ReadonlyMap<string, MeasuredErrors> {
  if (text.length > MAX_ERRORS_CHARACTERS)
    fail("limit", `measured errors: ${text.length} characters; at most ${MAX_ERRORS_CHARACTERS} are read`);
  const json = parsed(text);
  if (!isRecord(json) || json.kind !== KIND || !isRecord(json.tensors))
    return wrong("the file", `one of them ("kind": "${KIND}")`);
  return new Map(
    Object.entries(json.tensors).map(([name, entry]) => {
      if (!isRecord(entry) || typeof entry.digest !== "string") return wrong(`"${name}"`, "an object with a digest");
      return [name, { digest: entry.digest, errors: typeErrors(entry.errors, `"${name}".errors`) }];
    }),
  );
}
