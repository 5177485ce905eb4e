/** What reports say of a training. */
import type { TrainingSummary } from "../result.ts";

/** Points of a loss curve: more than a chart can show would only make reports large. */
const POINTS = 200;

/** Mean losses of equal parts of a run, in order; at most `points`. */
export function lossCurve(losses: Float32Array, points = POINTS): readonly number[] {
  const count = Math.min(points, losses.length);
  return Array.from({ length: count }, (_, i) => {
    const part = losses.subarray(
      Math.floor((i * losses.length) / count),
      Math.floor(((i + 1) * losses.length) / count),
    );
    return part.reduce((sum, loss) => sum + loss, 0) / part.length;
  });
}

/** The summary of a run by its losses; the rest is known before it. */
export const trainingSummary = (
  known: Omit<TrainingSummary, "losses" | "steps">,
  losses: Float32Array,
): TrainingSummary => ({ ...known, steps: losses.length, losses: lossCurve(losses) });
