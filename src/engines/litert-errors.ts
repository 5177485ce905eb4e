/** LiteRT's messages, turned into one sentence that says where and what to do. One row per kind. */
import { type ErrorCode, FewbitError, fail } from "../numeric/errors.ts";

interface Row {
  readonly pattern: RegExp;
  readonly code: ErrorCode;
  readonly say: (found: readonly string[]) => string;
}

const ROWS: readonly Row[] = [
  {
    pattern: /Failed to load model/,
    code: "format",
    say: () => "LiteRT can't read it; it is damaged, or newer than this LiteRT",
  },
  {
    pattern: /unresolved custom op: (\S+?)\.? /,
    code: "engine",
    say: ([op]) => `the engine has no custom op ${op}`,
  },
  {
    pattern: /Select TensorFlow op.*Node number \d+ \((\S+)\)/s,
    code: "engine",
    say: ([op]) => `op ${op} is TensorFlow's own, which LiteRT does not have; convert the model with builtin ops only`,
  },
  {
    pattern: /op builtin_code out of range: (\d+)|Didn't find op for builtin opcode '(\w+)' version '(\d+)'/,
    code: "engine",
    say: ([code, op, version]) => `the engine does not know op ${op ?? code}${version ? ` in version ${version}` : ""}`,
  },
  {
    pattern: /\(TfLiteXNNPackDelegate\) failed to prepare/,
    code: "graph",
    say: () => "shapes or quantization of its nodes do not fit together, says XNNPACK",
  },
  {
    pattern: /^(?:\S*?(\S+\.cc:\d+) )?(.*?)\.? *Node number (\d+) \((\S+)\) failed to prepare/s,
    code: "engine",
    say: ([at, what, node, op]) =>
      `node ${node} (${op}): no kernel for its types or shapes (${what}${at ? `, ${at}` : ""})`,
  },
  {
    pattern: /^(?:\S*?(\S+\.cc:\d+) )?(.*?)\.? *Node number (\d+) \((\S+)\) failed to invoke/s,
    code: "engine",
    say: ([at, what, node, op]) => `node ${node} (${op}): ${what}${at ? ` (${at})` : ""}`,
  },
  {
    pattern: /bad_alloc|out of memory|can't be had/,
    code: "engine",
    say: () => "not enough memory to open or run the model",
  },
];

function sentence(message: string): readonly [ErrorCode, string] {
  for (const { pattern, code, say } of ROWS) {
    const found = pattern.exec(message);
    if (found !== null) return [code, say(found.slice(1))];
  }
  return ["engine", message];
}

/** Rethrows what LiteRT threw as a `FewbitError`; `where` is "litert: model". The original is its `cause`. */
export function litertFail(where: string, cause: unknown): never {
  if (cause instanceof FewbitError)
    return fail(cause.code, `${where}: ${cause.message.replace(/^tflite: /, "")}`, cause);
  const [code, text] = sentence(cause instanceof Error ? cause.message : String(cause));
  return fail(code, `${where}: ${text}`, cause);
}
