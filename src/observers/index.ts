/** The table of observers: how what calibration saw becomes the range of a grid. */
import { fail } from "../numeric/errors.ts";
import { didYouMean, quotedList } from "../numeric/suggest.ts";
import { entropy } from "./entropy.ts";
import { minMax } from "./min-max.ts";
import { movingAverage } from "./moving-average.ts";
import { mse } from "./mse.ts";
import type { Observer } from "./observer.ts";
import { percentile } from "./percentile.ts";

/** The observers, by the names that --observer takes. */
export const OBSERVERS: readonly Observer[] = [minMax, movingAverage, percentile(99.99, "percentile"), entropy, mse];

/** "percentile-99.9" */
const PERCENTILE = /^percentile-(\d{2,3}(?:\.\d{1,9})?)$/;

/** The observer of that name; "percentile-99.9" names one that is not in the table. A usage error for unknown names. */
export function observerNamed(name: string): Observer {
  const row = OBSERVERS.find((observer) => observer.name === name);
  if (row) return row;
  const percent = PERCENTILE.exec(name)?.[1];
  if (percent !== undefined) return percentile(Number(percent), name);
  const names = OBSERVERS.map((observer) => observer.name);
  return fail(
    "usage",
    `unknown observer "${name}"${didYouMean(name, names)} (known: ${quotedList(names)}, "percentile-99.9")`,
  );
}
