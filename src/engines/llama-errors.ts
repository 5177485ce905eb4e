/** What llama.cpp says when it can't go on, turned into one sentence. One row per kind. */
import { type ErrorCode, fail } from "../numeric/errors.ts";

interface Row {
  readonly pattern: RegExp;
  readonly code: ErrorCode;
  readonly say: (found: readonly string[]) => string;
}

const ROWS: readonly Row[] = [
  {
    pattern: /unknown model architecture: '(.*?)'/,
    code: "unsupported",
    say: ([architecture]) => `llama.cpp has no architecture "${architecture}"`,
  },
  {
    pattern: /tensor '(.*?)' not found|missing tensor '(.*?)'/,
    code: "graph",
    say: ([tensor, other]) => `tensor "${tensor ?? other}" is missing, which its architecture needs`,
  },
  {
    pattern: /tensor '(.*?)' has wrong shape; (.*?)(?:\n|$)/,
    code: "graph",
    say: ([tensor, shapes]) => `tensor "${tensor}" has another shape than its architecture wants: ${shapes}`,
  },
  {
    pattern: /key not found in model: (\S+)/,
    code: "graph",
    say: ([key]) => `metadata "${key}" is missing`,
  },
  {
    pattern: /tensor '(.*?)' has invalid data/,
    code: "format",
    say: ([tensor]) => `tensor "${tensor}" holds values that are no numbers`,
  },
  {
    pattern: /(?:GGML_ASSERT\((.*)\) failed|(fatal error))/,
    code: "engine",
    say: ([check, fatal]) => `llama.cpp gave up: ${check ?? fatal}`,
  },
  {
    pattern: /InsufficientMemory|not enough memory|bad_alloc|failed to allocate/i,
    code: "engine",
    say: () => "there is too little memory for it",
  },
  {
    pattern: /error loading model: (.*?)(?:\n|$)/,
    code: "engine",
    say: ([why]) => `llama.cpp can't load it: ${why}`,
  },
];

const FIRST_LINE = /^.*/;

/** Throws what the engine said of a model as one sentence; `said` is all of it, line by line. */
export function llamaFail(where: string, said: string, cause?: unknown): never {
  for (const { pattern, code, say } of ROWS) {
    const found = pattern.exec(said);
    if (found) fail(code, `${where}: ${say(found.slice(1))}`, cause);
  }
  return fail("engine", `${where}: ${FIRST_LINE.exec(said.trim())?.[0] ?? "the engine failed"}`, cause);
}
