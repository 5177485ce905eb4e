/** "Did you mean ...?" for names that are nearly right. */
import { distance } from "fastest-levenshtein";
import { fail } from "../numeric/errors.ts";
import { list } from "../pipeline/report/format.ts";

/** Names at most this far away, in parts of the longer one, are worth a suggestion. */
const NEAR = 0.4;

/** The known name closest to a mistyped one, if any is close. */
export function nearest(typed: string, known: readonly string[]): string | undefined {
  const wish = typed.toLowerCase();
  const ranked = known
    .map((name) => ({ name, far: distance(wish, name.toLowerCase()) / Math.max(wish.length, name.length, 1) }))
    .sort((a, b) => a.far - b.far);
  return ranked[0] !== undefined && ranked[0].far <= NEAR ? ranked[0].name : undefined;
}

/** The message for a name that isn't known: suggestion, or everything there is. */
export function unknownName(what: string, typed: string, known: readonly string[]): string {
  const near = nearest(typed, known);
  const remedy = near === undefined ? `known: ${list(known)}` : `did you mean "${near}"?`;
  return `unknown ${what} "${typed}"; ${remedy}`;
}

/** The same name with the right case, or a usage error with a suggestion. */
export const knownName = (what: string, typed: string, known: readonly string[]): string =>
  known.find((name) => name.toLowerCase() === typed.toLowerCase()) ?? fail("usage", unknownName(what, typed, known));
