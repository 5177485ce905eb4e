/** ONNX Runtime's messages, turned into one sentence that says where and what to do. One row per kind. */
import { type ErrorCode, FewbitError, fail } from "../numeric/errors.ts";

interface Row {
  readonly pattern: RegExp;
  readonly code: ErrorCode;
  readonly say: (found: readonly string[]) => string;
}

const ROWS: readonly Row[] = [
  {
    pattern: /Protobuf parsing failed|protobuf parsing failed/,
    code: "format",
    say: () => "not an ONNX model, or cut short",
  },
  {
    pattern: /does not have a graph|No graph was found/,
    code: "format",
    say: () => "holds no graph, so it is not an ONNX model or it is cut short",
  },
  {
    pattern: /ENOENT|File doesn't exist|No such file|system error number 2\b/,
    code: "usage",
    say: () => "the file, or external data it names, can't be found",
  },
  {
    pattern: /Opset (\d+) is under development.*for domain (\S+) is till opset (\d+)/s,
    code: "engine",
    say: ([opset, domain, newest]) =>
      `opset ${opset} of ${domain} is newer than the engine knows (${newest}); export the model with opset ${newest}`,
  },
  {
    pattern: /In Node, \("(.*?)", .*No Op registered for (\S+) with domain_version of (\d+)/s,
    code: "engine",
    say: ([node, op, opset]) => `node "${node}": the engine does not know op ${op} in opset ${opset}`,
  },
  {
    pattern: /No Op registered for (\S+) with domain_version of (\d+)/,
    code: "engine",
    say: ([op, opset]) => `the engine does not know op ${op} in opset ${opset}`,
  },
  {
    pattern: /(\S+) is not a registered function\/op/,
    code: "engine",
    say: ([op]) => `the engine does not know op ${op}`,
  },
  {
    pattern: /Could not find an implementation for (\S+?)\((\d+)\) node with name '(.*?)'/,
    code: "engine",
    say: ([op, opset, node]) =>
      `node "${node}": the engine has no kernel for ${op} (opset ${opset}) with these element types`,
  },
  {
    pattern: /Type Error: (.*?)\.?$/s,
    code: "graph",
    say: ([what]) => `element types do not fit: ${what}`,
  },
  {
    pattern: /Deserialize tensor (\S+) failed/,
    code: "io",
    say: ([name]) =>
      `the data of tensor "${name}" can't be read; external data must lie beside the model, or be passed with it`,
  },
  {
    pattern: /[Uu]nsupported data type: (\d+)/,
    code: "unsupported",
    say: ([type]) => `an input or output has an element type (number ${type}) that JavaScript can't hold`,
  },
  {
    pattern: /bad_alloc|out of memory|OOM|Failed to allocate|Array buffer allocation failed/,
    code: "engine",
    say: () => "not enough memory to open or run the model",
  },
];

/** What stands around the message proper: file, status code, C++ source line and signature. */
const PREFIXES = [
  /^Load model from .*? failed:\s*/s,
  /^Can't create a session\.\s*/,
  /^failed to call \w+\(\)\.\s*/,
  /^ERROR_CODE: \d+, ERROR_MESSAGE:\s*/,
  /^\/\S+\.(?:cc|h):\d+ .*?\)(?: const)? (?=[A-Z])/s,
];

const bare = (message: string): string =>
  PREFIXES.reduce((text, prefix) => text.replace(prefix, ""), message)
    .replace(/\s+/g, " ")
    .trim();

function sentence(message: string): readonly [ErrorCode, string] {
  for (const { pattern, code, say } of ROWS) {
    const found = pattern.exec(message);
    if (found !== null) return [code, say(found.slice(1))];
  }
  return ["engine", bare(message)];
}

/** Rethrows what ONNX Runtime threw as a `FewbitError`; `where` is "engine: model". The original is its `cause`. */
export function ortFail(where: string, cause: unknown): never {
  if (cause instanceof FewbitError) throw cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  const [code, text] = sentence(message);
  return fail(code, `${where}: ${text}`, cause);
}
