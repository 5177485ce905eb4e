/** Help for mistyped names. */
import { distance } from "fastest-levenshtein";

/** Names longer than this are not compared: the distance costs their product. */
const MAX_COMPARED = 100;

/** The known name closest to a mistyped one; undefined when none is close. */
export function closest(name: string, known: Iterable<string>): string | undefined {
  if (name.length > MAX_COMPARED) return undefined;
  let best: string | undefined;
  let least = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const steps = candidate.length > MAX_COMPARED ? least : distance(name.toLowerCase(), candidate.toLowerCase());
    if (steps < least) [best, least] = [candidate, steps];
  }
  return best;
}

/** `"a", "b", "c"`, cut after `limit` names. */
export const quotedList = (names: readonly string[], limit = 20): string => {
  const shown = names.slice(0, limit).map((name) => `"${name}"`);
  return names.length > limit ? `${shown.join(", ")} and ${names.length - limit} more` : shown.join(", ");
};

/** `; did you mean "x"?` or nothing: to be put behind a message about an unknown name. */
export const didYouMean = (name: string, known: Iterable<string>): string => {
  const found = closest(name, known);
  return found === undefined ? "" : `; did you mean "${found}"?`;
};
