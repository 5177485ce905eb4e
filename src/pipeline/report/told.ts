/** Findings of a whole report, for page and terminal. */
import type { Finding, QuantizeReport, Severity } from "../result.ts";

const ORDER: readonly Severity[] = ["error", "warning", "info"];

/** A finding with the schemes it is about; none = all of them. */
export interface Told extends Finding {
  readonly schemes: readonly string[];
}

type Findings = Pick<QuantizeReport, "findings" | "candidates" | "refused">;

/** The same finding of several candidates is told once, with their names; the gravest first. */
export function told(report: Findings): readonly Told[] {
  const all = new Map<string, Told>();
  const add = (finding: Finding, scheme: readonly string[]): void => {
    const key = JSON.stringify([finding.code, finding.message]);
    all.set(key, { ...finding, schemes: [...(all.get(key)?.schemes ?? []), ...scheme] });
  };
  for (const finding of report.findings) add(finding, []);
  for (const { scheme, findings } of report.candidates) for (const finding of findings) add(finding, [scheme]);
  for (const { scheme, code, reason } of report.refused) add({ severity: "warning", code, message: reason }, [scheme]);
  return [...all.values()].sort((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity));
}
