/** The page of a quantized GGUF model: what running it gave, what to know, and every tensor. */
import type { TensorReport, WeightsQuantizeReport } from "../weights/index.ts";
import { bytes, count, decibels, percent, shorten } from "./format.ts";
import { type Html, html } from "./html.ts";
import { languageRows, languageVerdict, runText } from "./language-words.ts";
import { document } from "./page.ts";
import { full, head, number, table, unbroken } from "./parts.ts";
import { findingList, reproduction } from "./sections.ts";

function header(report: WeightsQuantizeReport): Html {
  const { model, scheme, size, run, output, environment } = report;
  const failed = run?.contract?.met === false || output === undefined;
  const place = [
    `${bytes(model.size)}, ${count(report.tensors.length, "tensor")}`,
    ...(run ? [runText(run)] : ["not run"]),
    environment.cpu,
    report.createdAt.slice(0, 10),
  ];
  return html`<header>
<h1>${model.name}</h1>
<p class="verdict${failed ? " bad" : ""}">${unbroken(languageVerdict(scheme, size.ratio, run))}</p>
<p class="meta">${place.join(" · ")}</p>
</header>`;
}

const comparison = ({ scheme, size, run }: WeightsQuantizeReport): Html =>
  table({
    titles: [head(""), number("original"), number(scheme), number("change")],
    rows: languageRows(size, run).map(({ title, before, after, change }) => ({
      cells: [head(title), number(before), number(after), number(change)],
    })),
  });

const KL = html`<p class="meta">KL: Kullback-Leibler divergence of the new model's probabilities of the next token from the original's, in nats, over the whole vocabulary. 0 is the same model. Errors behind ± are standard errors; that of the change comes from pairs.</p>`;

/** Bytes by type, before and after. */
function types(tensors: readonly TensorReport[]): Html {
  const sums = new Map<string, { tensors: number; bytes: number }>();
  for (const { to, size } of tensors) {
    const sum = sums.get(to) ?? { tensors: 0, bytes: 0 };
    sums.set(to, { tensors: sum.tensors + 1, bytes: sum.bytes + size.after });
  }
  const total = tensors.reduce((sum, { size }) => sum + size.after, 0);
  const rows = [...sums]
    .sort(([, a], [, b]) => b.bytes - a.bytes)
    .map(([type, sum]) => ({
      cells: [head(type), number(String(sum.tensors)), number(bytes(sum.bytes)), number(percent(sum.bytes / total))],
    }));
  return table({ titles: [head("type"), number("tensors"), number("size"), number("share")], rows });
}

const TENSORS_SHOWN = 500;
const NAME_LENGTH = 60;

function tensorRow({ name, from, to, size, sqnr, reason, insteadOf }: TensorReport) {
  return {
    cells: [
      head(html`<span class="name">${shorten(name, NAME_LENGTH)}</span>`),
      full(from === to ? to : `${from} → ${to}`),
      number(bytes(size.after)),
      number(sqnr === undefined ? "" : decibels(sqnr)),
      full(insteadOf === undefined ? reason : `not ${insteadOf}: ${reason}`),
    ],
  };
}

/** Those that lost most first; what stays as it is comes last. */
function tensors(all: readonly TensorReport[]): Html {
  const loss = ({ sqnr }: TensorReport): number => sqnr ?? Number.POSITIVE_INFINITY;
  const sorted = [...all].sort((a, b) => (loss(a) === loss(b) ? 0 : loss(a) - loss(b)));
  const left = sorted.length - TENSORS_SHOWN;
  const titles = [head("tensor"), full("type"), number("size"), number("SQNR"), full("why")];
  return html`<h2>Tensors</h2>
${types(all)}
${table({ titles, rows: sorted.slice(0, TENSORS_SHOWN).map(tensorRow) })}${left > 0 && html`<p class="soft">${count(left, "more", "more")} in the JSON file.</p>`}`;
}

/** One self-contained page, as `renderHtml` makes of models with a graph. */
export function renderWeightsHtml(report: WeightsQuantizeReport): string {
  const { model, run, environment, seconds, files } = report;
  const proven = run !== undefined && ` The model was opened and run by ${run.engine} before it was handed over.`;
  return document({
    title: `${model.name}: fewbit report`,
    body: html`${header(report)}
<main>
${comparison(report)}${run?.quality && KL}
${findingList(report.findings)}
${tensors(report.tensors)}
${reproduction({ command: report.command, createdAt: report.createdAt, environment, files })}
</main>`,
    footer: html`Made by fewbit ${environment.fewbit} in ${seconds.toFixed(1)} s.${proven}`,
  });
}
