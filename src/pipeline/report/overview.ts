/** Top of the page: the verdict, the table of candidates, the bars. */
import type { Candidate, Metric, QuantizeReport, Ratio } from "../result.ts";
import { type Bar, barChart } from "./charts.ts";
import {
  bytes,
  cosine,
  count,
  decibels,
  list,
  metricChange,
  metricValue,
  milliseconds,
  percent,
  times,
} from "./format.ts";
import { type Html, html } from "./html.ts";
import { full, head, number, numbers, type Row, table, unbroken } from "./parts.ts";
import { direction, headline, headlineCandidate, verdictOf, worstOutput } from "./verdict.ts";

const dataWords = (report: QuantizeReport): readonly string[] =>
  [
    report.calibration && `calibrated on ${samplesOf(report.calibration)}`,
    report.evaluation && `measured on ${samplesOf(report.evaluation)}`,
  ].filter((words) => words !== undefined);

const samplesOf = ({ samples, origin, random }: NonNullable<QuantizeReport["calibration"]>): string =>
  random ? `${count(samples, "random sample")}` : `${count(samples, "sample")} of ${origin}`;

/** Random data must be seen at once: what it says about accuracy is nothing. */
function madeUp({ calibration, evaluation }: QuantizeReport): Html | false {
  const uses = [calibration?.random && "ranges come from", evaluation?.random && "outputs were compared on"];
  const named = uses.filter((use) => typeof use === "string");
  return (
    named.length > 0 &&
    html`<p class="reason mixed">The ${list(named)} random data: how well it works on real inputs is not known.</p>\n`
  );
}

/** Model, verdict, where it was measured. */
export function header(report: QuantizeReport): Html {
  const { tone, sentence } = headline(report);
  const { model, environment, recommended } = report;
  const place = [
    `${bytes(model.size)}, ${count(model.ops, "node")}${model.opset === undefined ? "" : `, opset ${model.opset}`}`,
    environment.engine,
    count(environment.threads, "thread"),
    environment.cpu,
    ...dataWords(report),
    report.createdAt.slice(0, 10),
  ];
  return html`<header>
<h1>${model.name}</h1>
<p class="verdict${tone === "bad" ? " bad" : ""}">${unbroken(sentence)}</p>
${recommended !== undefined && report.candidates.length > 1 && html`<p class="reason">Why ${recommended.scheme}: ${recommended.reason}</p>`}
${madeUp(report)}<p class="meta">${place.join(" · ")}</p>
</header>`;
}

const metricNames = (candidates: readonly Candidate[]): readonly string[] => [
  ...new Set(candidates.flatMap(({ metrics }) => Object.keys(metrics))),
];

/** The same measurement is in every candidate; the first that has it speaks for the original. */
const firstOf = <T>(candidates: readonly Candidate[], pick: (candidate: Candidate) => T | undefined): T | undefined =>
  candidates.map(pick).find((value) => value !== undefined);

/** A number with a smaller one under it. */
const withNote = (value: string, note: string): Html => html`<span>${value}<span class="change">${note}</span></span>`;

const withChange = (metric: Metric | undefined): Html | undefined =>
  metric && withNote(metricValue(metric, metric.after), metricChange(metric));

/** Differences too small for a word are numbers only. */
const gain = (ratio: Ratio, better: string, worse: string): string => {
  const way = direction(ratio.ratio);
  if (way === 0) return times(ratio.ratio);
  return way > 0 ? `${times(ratio.ratio)} ${better}` : `${times(1 / ratio.ratio)} ${worse}`;
};

function originalRow(candidates: readonly Candidate[], names: readonly string[]): Row {
  const latency = firstOf(candidates, (candidate) => candidate.latency);
  const memory = firstOf(candidates, (candidate) => candidate.memory);
  const metrics = names.map((name) => firstOf(candidates, (candidate) => candidate.metrics[name]));
  const cells = [
    head("original"),
    number(bytes(candidates[0]?.size.before ?? 0)),
    number(latency && milliseconds(latency.before)),
    number(memory && bytes(memory.before)),
    ...metrics.map((metric) => number(metric && metricValue(metric, metric.before))),
    number(""),
    number(""),
    number(""),
    full(""),
  ];
  return { cells };
}

function candidateRow(candidate: Candidate, names: readonly string[], best: boolean): Row {
  const { scheme, size, latency, memory, agreement, integerShare } = candidate;
  const { tone, short } = verdictOf(candidate);
  const worst = worstOutput(candidate);
  const cells = [
    head(html`<span>${scheme}${best && html`<span class="tag">recommended</span>`}</span>`),
    number(withNote(bytes(size.after), gain(size, "smaller", "larger"))),
    number(latency && withNote(milliseconds(latency.after), gain(latency, "faster", "slower"))),
    number(memory && withNote(bytes(memory.after), gain(memory, "smaller", "larger"))),
    ...names.map((name) => number(withChange(candidate.metrics[name]))),
    number(agreement === undefined ? "" : percent(agreement)),
    number(worst && withNote(decibels(worst.sqnr), `cosine ${cosine(worst.cosine)}`)),
    number(integerShare === undefined ? "" : percent(integerShare)),
    full(html`<span class="${tone}">${short}</span>`),
  ];
  return best ? { cells, className: "best" } : { cells };
}

/** A row per candidate, the original first. */
export function comparison(report: QuantizeReport): Html {
  const { candidates, recommended } = report;
  const names = metricNames(candidates);
  const titles = ["size", "latency", "memory", ...names, "agreement", "SQNR", "in integers"];
  const rows = table({
    titles: [head("model"), ...titles.map(number), full("verdict")],
    rows: [
      originalRow(candidates, names),
      ...candidates.map((candidate) => candidateRow(candidate, names, candidate.scheme === recommended?.scheme)),
    ],
  });
  const turns = candidates.some(({ latency }) => latency !== undefined) && candidates.length > 1;
  return html`${rows}${turns && html`<p class="meta">Each candidate took turns with the original; its factor comes from those turns.</p>`}`;
}

interface Chart {
  readonly title: string;
  readonly note: string;
  readonly bars: readonly Bar[];
}

/** More candidates than this are in the table only. */
const MOST_BARS = 16;

/** The original's bar and one per candidate that has the number. */
function chart(
  report: QuantizeReport,
  title: string,
  note: string,
  before: { readonly value: number; readonly text: string } | undefined,
  after: (candidate: Candidate) => { readonly value: number; readonly text: string } | undefined,
): Chart {
  const best = headlineCandidate(report)?.scheme;
  const bars = report.candidates.slice(0, MOST_BARS).flatMap((candidate): Bar[] => {
    const found = after(candidate);
    return found && Number.isFinite(found.value)
      ? [{ name: candidate.scheme, kind: candidate.scheme === best ? "best" : "candidate", ...found }]
      : [];
  });
  return {
    title,
    note,
    bars:
      before === undefined || bars.length === 0 ? bars : [{ name: "original", kind: "original", ...before }, ...bars],
  };
}

const sizes = (report: QuantizeReport): Chart => {
  const before = report.candidates[0]?.size.before ?? 0;
  return chart(report, "Size", "on disk; less is better", { value: before, text: bytes(before) }, ({ size }) => ({
    value: size.after,
    text: bytes(size.after),
  }));
};

const latencies = (report: QuantizeReport): Chart => {
  const measured = firstOf(report.candidates, ({ latency }) => latency);
  const before = measured && { value: measured.before, text: milliseconds(measured.before) };
  const note = measured === undefined ? "" : `median of ${measured.runs} runs, models taking turns; less is better`;
  return chart(
    report,
    "Latency",
    note,
    before,
    ({ latency }) => latency && { value: latency.after, text: milliseconds(latency.after) },
  );
};

/** The first metric; without one, how alike the outputs are. */
function accuracies(report: QuantizeReport): Chart {
  const [name] = metricNames(report.candidates);
  if (name === undefined)
    return chart(
      report,
      "Likeness of outputs",
      "signal to quantization noise; more is better",
      undefined,
      (candidate) => {
        const worst = worstOutput(candidate);
        return worst?.sqnr == null ? undefined : { value: Math.max(0, worst.sqnr), text: decibels(worst.sqnr) };
      },
    );
  const first = firstOf(report.candidates, ({ metrics }) => metrics[name]);
  const note = first?.higherIsBetter === false ? "less is better" : "more is better";
  const before = first && { value: Math.max(0, first.before), text: metricValue(first, first.before) };
  return chart(report, name, note, before, ({ metrics }) => {
    const metric = metrics[name];
    return metric && { value: Math.max(0, metric.after), text: metricValue(metric, metric.after) };
  });
}

/** Bars of size, latency and accuracy. */
export function bars(report: QuantizeReport): Html {
  const charts = [sizes(report), latencies(report), accuracies(report)].filter(({ bars: all }) => all.length > 0);
  return html`<div class="charts">${charts.map(
    ({ title, note, bars: all }) => html`<figure><h3>${title}</h3>
${barChart(`${title} of ${all.map(({ name, text: value }) => `${name} ${value}`).join(", ")}`, all)}
<figcaption>${note}</figcaption>
${numbers(
  ["model", title],
  all.map(({ name, text: value }) => [name, value]),
)}</figure>\n`,
  )}</div>`;
}
