/** Promises about accuracy (`--max-drop`), and which of several models to recommend. */
import { fail } from "../numeric/errors.ts";
import { dropOf, mainMetric, worstOutput } from "./report/verdict.ts";
import type { Candidate, Contract, QuantizeReport } from "./result.ts";

const POINTS = 100;

/**
 * Whether at most `maxDrop` percent points were lost: of the task metric, else of the agreement with the original, else
 * of the cosine between the outputs.
 */
export function contractOf(candidate: Pick<Candidate, "metrics" | "agreement" | "outputs">, maxDrop: number): Contract {
  const [metric, drop] = lossOf(candidate as Candidate);
  const allowed = maxDrop / POINTS;
  return { metric, maxDrop: allowed, drop, met: drop <= allowed };
}

function lossOf(candidate: Candidate): readonly [string, number] {
  const main = mainMetric(candidate);
  if (main !== undefined) return [main[0], dropOf(main[1])];
  if (candidate.agreement !== undefined) return ["agreement", 1 - candidate.agreement];
  const worst = worstOutput(candidate);
  return worst ? ["cosine", 1 - worst.cosine] : fail("data", "--max-drop: the model has no numeric output to compare");
}

/** Loss that hardly anybody notices; a recommendation never costs more while something cheaper is there. */
const SMALL_LOSS = 0.01;

/** Bytes and time a request costs, as a share of the original's: smaller is better. */
const cost = ({ size, latency }: Candidate): number => 1 / (size.ratio * (latency?.ratio ?? 1));

const usable = ({ findings, contract }: Candidate): boolean =>
  contract?.met !== false && !findings.some(({ severity }) => severity === "error");

/** The cheapest of those that keep the accuracy; without such, nothing is recommended. */
export function recommend(candidates: readonly Candidate[], random: boolean): QuantizeReport["recommended"] {
  if (candidates.length < 2 || random) return undefined;
  const kept = candidates.filter(
    (candidate) => usable(candidate) && lossOf(candidate)[1] <= SMALL_LOSS && cost(candidate) < 1,
  );
  const [best] = [...kept].sort((a, b) => cost(a) - cost(b));
  if (best === undefined) return undefined;
  const cut = Math.round(POINTS * (1 - cost(best)));
  return {
    scheme: best.scheme,
    reason: `keeps the accuracy and cuts size x time by ${cut} %, the most of ${candidates.length}`,
  };
}
