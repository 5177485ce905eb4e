/** What --keep names in files of weights: tensors, by an expression or by their whole name. */
import { fail } from "../numeric/errors.ts";
import type { KeepRule } from "./requests.ts";

const escaped = (name: string): string => name.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** The expression of a rule; ops are refused, of which `without` says why: "GGUF, which holds no ops". */
export function keepPattern(rule: KeepRule, without: string): RegExp {
  if (rule.kind === "regex") return rule.pattern;
  if (rule.kind === "node") return new RegExp(`^${escaped(rule.name)}$`);
  return fail("usage", `--keep op:${rule.name} has no meaning for ${without}; name tensors by a REGEX`);
}
