/** What quantize and compare print with `--json`, and the exit code their results stand for. */
import { headlineCandidate, worstOutput } from "../pipeline/report/verdict.ts";
import type { Candidate, CompareReport, Finding, QuantizeReport } from "../pipeline/result.ts";
import { EXIT } from "./command.ts";

/** The measurements of a candidate in the documented shape; layers and histograms are in the report's own JSON. */
function candidateJson(candidate: Candidate) {
  const { layers: _layers, outputs, metrics, agreement, ...rest } = candidate;
  const worst = worstOutput(candidate);
  return {
    ...rest,
    outputs,
    metrics: {
      ...Object.fromEntries(Object.entries(metrics).map(([name, { before, after }]) => [name, { before, after }])),
      ...(agreement !== undefined && { agreement }),
      ...(worst && { cosine: worst.cosine, sqnr: worst.sqnr }),
    },
  };
}

const merged = (general: readonly Finding[], own: readonly Finding[]): readonly Finding[] => [...general, ...own];

/** The recommended candidate's fields on top; all of them under `candidates` when there were several. */
export function quantizeJson(report: QuantizeReport, page: string | undefined) {
  const best = headlineCandidate(report) ?? report.candidates[0];
  const { candidates, environment, model, recommended, refused } = report;
  return {
    ...(best && candidateJson(best)),
    findings: merged(report.findings, best?.findings ?? []),
    seconds: report.seconds,
    ...(page !== undefined && { report: page }),
    model,
    environment,
    ...(recommended && { recommended }),
    ...(refused.length > 0 && { refused }),
    ...(candidates.length > 1 && { candidates: candidates.map(candidateJson) }),
  };
}

export function compareJson(report: CompareReport) {
  const { scheme: _scheme, ...rest } = candidateJson(report.candidate);
  const { layers } = report.candidate;
  return {
    ...rest,
    ...(layers.length > 0 && { layers }),
    findings: merged(report.findings, report.candidate.findings),
    seconds: report.seconds,
    model: report.model,
    environment: report.environment,
  };
}

const isBroken = ({ findings }: Candidate): boolean => findings.some(({ severity }) => severity === "error");

const missedContract = ({ contract }: Candidate): boolean => contract !== undefined && !contract.met;

/** One usable candidate is a success; else the better of the two ways to fail. */
export function exitCode({ candidates }: { readonly candidates: readonly Candidate[] }): number {
  const working = candidates.filter((candidate) => !isBroken(candidate));
  if (working.length === 0) return EXIT.failed;
  return working.every(missedContract) ? EXIT.contract : EXIT.done;
}
