/** Names that the command line checks before anything is opened. */
import { fail } from "../numeric/errors.ts";
import { closest } from "../numeric/suggest.ts";
import { list } from "../pipeline/report/format.ts";

/** The same name with the right case, or a usage error that names the closest one, or all there are. */
export function knownName(what: string, typed: string, known: readonly string[]): string {
  const same = known.find((name) => name.toLowerCase() === typed.toLowerCase());
  if (same !== undefined) return same;
  const near = closest(typed, known);
  const remedy = known.length === 0 ? "there are none yet" : near ? `did you mean "${near}"?` : `known: ${list(known)}`;
  return fail("usage", `unknown ${what} "${typed}"; ${remedy}`);
}
