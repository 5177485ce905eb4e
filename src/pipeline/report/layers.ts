/** What quantization cost layer by layer: chart, table with the worst first, histograms. */
import type { Candidate, LayerResult } from "../result.ts";
import { histogramChart, layerChart } from "./charts.ts";
import { compact, count, decibels, digits } from "./format.ts";
import { type Html, html } from "./html.ts";
import { head, number, numbers, type Row, table, text } from "./parts.ts";

/** A page of a model with thousands of layers must still open; its JSON has them all. */
const LAYERS_SHOWN = 200;
const LAYERS_OPEN = 20;
/** Of the candidate the page is about, and of each other one. */
const HISTOGRAMS_SHOWN = { main: 12, other: 4 } as const;
/** Signal to noise that fills the meter; 8 bit codes of well-behaved values reach about 45 dB. */
const METER_DB = 60;

/** Nothing lost is last. */
const worstFirst = (layers: readonly LayerResult[]): readonly LayerResult[] =>
  [...layers].sort((a, b) => (a.sqnr ?? Number.POSITIVE_INFINITY) - (b.sqnr ?? Number.POSITIVE_INFINITY));

const interval = ({ min, max }: { readonly min: number; readonly max: number }): string =>
  `${digits(min)} … ${digits(max)}`;

const meter = (sqnr: number | null): Html => {
  const share = sqnr === null ? 1 : Math.min(1, Math.max(0, sqnr / METER_DB));
  return html`<span>${decibels(sqnr)}<span class="meter" aria-hidden="true"><i style="width:${Math.round(share * 100)}%"></i></span></span>`;
};

const error = (value: number): string => (value === 0 ? "0" : value.toExponential(1));

const row = ({ node, op, form, bits, sqnr, mse, meanError, maxAbs, steps, range }: LayerResult): Row => ({
  cells: [
    head(html`<span class="name">${node}</span>`),
    text(op),
    text(form === undefined ? `${bits} bit` : `${form}, ${bits} bit`),
    number(meter(sqnr)),
    number(error(mse)),
    number(error(meanError)),
    number(error(maxAbs)),
    number(steps?.toFixed(2)),
    number(range && interval(range)),
  ],
});

const TITLES = [
  head("layer"),
  text("op"),
  text("form"),
  number("SQNR"),
  number("MSE"),
  number("mean"),
  number("largest"),
  number("steps"),
  number("range"),
];

function layerTable(layers: readonly LayerResult[], caption?: string): Html {
  return table({ titles: TITLES, rows: layers.map(row), ...(caption !== undefined && { caption }) });
}

function histogram(layer: LayerResult): Html {
  const { op, value, kind, histogram: seen, range } = layer;
  if (seen === undefined || seen.counts.length === 0) return html``;
  const step = (seen.max - seen.min) / seen.counts.length;
  const rows = seen.counts.map((n, i) => [
    interval({ min: seen.min + i * step, max: seen.min + (i + 1) * step }),
    compact(n),
  ]);
  const covered = range === undefined ? "" : `, range ${interval(range)}`;
  return html`<figure>${histogramChart(`Histogram of ${value}: ${interval(seen)}${covered}`, seen, range)}
<div class="ends"><span>${digits(seen.min)}</span><span>${digits(seen.max)}</span></div>
<figcaption><span class="name">${value}</span>${kind === "weight" ? "weight" : "output"} of ${op}${covered}</figcaption>
${numbers([kind === "weight" ? "weights" : "values", "count"], rows)}</figure>\n`;
}

function histograms(layers: readonly LayerResult[], most: number): Html {
  const shown = layers.filter((layer) => layer.histogram !== undefined).slice(0, most);
  if (shown.length === 0) return html``;
  return html`<h3>Values of the layers that lost most</h3>
<p class="soft">Heights are square roots of counts, so that thin tails show. The shaded part is the range that codes cover; what lies outside is clipped.</p>
<div class="histograms">${shown.map(histogram)}</div>`;
}

/** Error of each layer of one candidate; nothing when no layer was measured. */
export function layerSection({ scheme, layers }: Candidate, role: "main" | "other"): Html {
  if (layers.length === 0) return html``;
  const sorted = worstFirst(layers);
  const worst = sorted[0]!;
  const rest = sorted.slice(LAYERS_OPEN, LAYERS_SHOWN);
  const label = `Signal to quantization noise of ${count(layers.length, "layer")} of ${scheme}; lowest ${decibels(worst.sqnr)} in ${worst.node}`;
  const left = layers.length - Math.min(layers.length, LAYERS_SHOWN);
  return html`<p class="soft">Signal to quantization noise at each layer, in the order of the network; higher is better, and 6 dB are one bit. Mean and largest are of the errors; steps is their root mean square in steps of the value's codes, 0.29 where only rounding is at work.${layers.some(({ sqnr }) => sqnr === null) && " Grey: nothing was lost."}</p>
${layerChart(label, layers)}
${layerTable(sorted.slice(0, LAYERS_OPEN), `Worst first: ${Math.min(LAYERS_OPEN, layers.length)} of ${count(layers.length, "layer")}`)}
${rest.length > 0 && html`<details><summary>${count(rest.length, "more layer")}</summary>${layerTable(rest)}</details>`}
${left > 0 && html`<p class="soft">${count(left, "layer")} that lost less are in the JSON file.</p>`}
${histograms(sorted, HISTOGRAMS_SHOWN[role])}`;
}
