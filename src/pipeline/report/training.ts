/** How models were trained on the way: settings in one line, the loss as a curve. */
import type { Candidate, QuantizeReport, TrainingSummary } from "../result.ts";
import { lossChart } from "./charts.ts";
import { count, digits } from "./format.ts";
import { type Html, html } from "./html.ts";
import { numbers } from "./parts.ts";

/** Rows of the table beside a curve: its shape can be read from these. */
const ROWS = 20;

const settings = ({ data, loss, optimizer, schedule, epochs, batch, seed }: TrainingSummary): string =>
  [
    `${loss} with ${optimizer}`,
    schedule,
    `${count(epochs, "epoch")} of ${count(data.samples, "sample")} of ${data.origin}`,
    `batches of ${batch}`,
    `seed ${seed}`,
  ].join(" · ");

const MODES: Readonly<Record<string, string>> = {
  float: "fine-tuned in floats",
  qat: "quantization-aware training",
  "low-precision": "trained in integers",
};

function curve(scheme: string, training: TrainingSummary): Html {
  const { losses, steps } = training;
  const stepOf = (i: number): number => Math.round(((i + 1) * steps) / losses.length);
  const every = Math.max(1, Math.ceil(losses.length / ROWS));
  const rows = losses.flatMap((loss, i) => (i % every === 0 ? [[String(stepOf(i)), digits(loss)]] : []));
  const ends = `from ${digits(losses[0]!)} to ${digits(losses.at(-1)!)}`;
  return html`<figure>${lossChart(`Loss of ${scheme} over ${count(steps, "step")}, ${ends}`, losses)}
<div class="ends"><span>step 1</span><span>${count(steps, "step")}</span></div>
<figcaption><span class="name">${scheme}</span>${MODES[training.mode] ?? training.mode}: loss ${ends}<br>${settings(training)}</figcaption>
${numbers(["step", "loss"], rows)}</figure>\n`;
}

type Trained = Candidate & { readonly training: TrainingSummary };

/** A curve for each candidate that was trained; nothing where none was. */
export function trainingSection({ candidates }: QuantizeReport): Html {
  const trained = candidates.filter((each): each is Trained => (each.training?.losses.length ?? 0) > 0);
  if (trained.length === 0) return html``;
  return html`<h2>Training</h2>
<div class="charts">${trained.map(({ scheme, training }) => curve(scheme, training))}</div>\n`;
}
