/** Widest range seen: nothing is clipped, and one outlier stretches the grid for all. */
import type { Observer } from "./observer.ts";

export const minMax: Observer = {
  name: "min-max",
  summary: "widest range seen; nothing is clipped",
  range: ({ min, max }) => [Math.min(min, 0), Math.max(max, 0)],
};
