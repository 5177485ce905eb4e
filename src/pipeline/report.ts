/** The report step: everything that was found out, as one HTML page that needs nothing else, and as JSON. */
import { type Html, html, trusted } from "./report/html.ts";
import { layerSection } from "./report/layers.ts";
import { bars, comparison, header } from "./report/overview.ts";
import { document } from "./report/page.ts";
import { findings, planSection, reproduce } from "./report/sections.ts";
import { trainingSection } from "./report/training.ts";
import { headlineCandidate, verdictOf } from "./report/verdict.ts";
import type { Candidate, QuantizeReport } from "./result.ts";

/** Pages of more candidates than this keep the details of the others in the JSON. */
const DETAILED_CANDIDATES = 8;

const hasDetails = ({ layers, kept, opHistogram, notes }: Candidate): boolean =>
  layers.length + kept.length + notes.length > 0 || opHistogram !== undefined;

/** Layers and plan of one candidate; those that aren't the headline are folded. */
function details(candidate: Candidate, open: boolean): Html {
  return html`<details class="part"${open && trusted(" open")}><summary>${candidate.scheme}: ${verdictOf(candidate).sentence}</summary>
${layerSection(candidate, open ? "main" : "other")}
${planSection(candidate)}</details>\n`;
}

function inside(report: QuantizeReport): Html {
  const best = headlineCandidate(report);
  const all = report.candidates.filter(hasDetails);
  const sorted = [...all.filter((each) => each === best), ...all.filter((each) => each !== best)];
  if (sorted.length === 0) return html``;
  return html`<h2>Layer by layer</h2>
${sorted.slice(0, DETAILED_CANDIDATES).map((candidate, i) => details(candidate, i === 0))}`;
}

/** One self-contained page: no scripts, no requests; names from model files are escaped. */
export function renderHtml(report: QuantizeReport): string {
  const { candidates, environment, model, seconds } = report;
  const proven = candidates.every(({ findings: all }) => all.every(({ severity }) => severity !== "error"));
  return document({
    title: `${model.name}: fewbit report`,
    body: html`${header(report)}
<main>
${candidates.length > 0 && html`${comparison(report)}${bars(report)}`}
${findings(report)}
${trainingSection(report)}
${inside(report)}
${reproduce(report)}
</main>`,
    footer: html`Made by fewbit ${environment.fewbit} in ${seconds.toFixed(1)} s.${proven && candidates.length > 0 && ` Every model here was opened and run by ${environment.engine} before it was handed over.`}`,
  });
}

export { renderJson } from "./report/json.ts";
export { renderWeightsHtml } from "./report/weights.ts";
