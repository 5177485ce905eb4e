/** What every contender does: checks itself with a few steps, warms up, measures, prints one line of JSON. */
import { parseArgs } from "node:util";
import { BATCH, BATCHES } from "./models.js";

/** The loss of this step is printed: all who do the same work print the same number. */
export const CHECKED_STEP = 3;

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    seconds: { type: "string", default: "2" },
    threads: { type: "string", default: "1" },
    variant: { type: "string" },
  },
});

/** What bench/train.js asks for: model, threads, variant. */
export const wish = { model: values.model, threads: Number(values.threads), variant: values.variant };
const span = Number(values.seconds) * 1000;

function print(steps, ms, used, { firstMs, loss }) {
  const [msPerStep, cpuMsPerStep] = [ms / steps, (used.user + used.system) / 1000 / steps];
  const samplesPerSecond = (1000 * BATCH) / msPerStep;
  console.log(JSON.stringify({ samplesPerSecond, msPerStep, cpuMsPerStep, firstMs, steps, loss }));
}

/**
 * Takes the time of steps: to be called before the first and after each, or after each few with their number; true when
 * enough were seen and the line is printed. Warms up for half of the time, which who needs longer for a step leaves out.
 */
export function stopwatch(checked) {
  const warm = checked.stepMs > span / 2 ? 0 : span / 2;
  let [opened, begin, cpu, steps] = [undefined, undefined, undefined, 0];
  return (count = 1) => {
    const now = performance.now();
    opened ??= now;
    if (begin !== undefined) steps += count;
    else if (now >= opened + warm) [begin, cpu] = [now, process.cpuUsage()];
    const done = steps > 0 && now - begin >= span;
    if (done) print(steps, now - begin, process.cpuUsage(cpu), checked);
    return done;
  };
}

/** `step(batch)` trains on batch number `batch` and gives its loss as a number. */
export async function contend(step) {
  const start = performance.now();
  let loss = await step(0);
  const firstMs = performance.now() - start;
  for (let count = 1; count < CHECKED_STEP; count++) loss = await step(count % BATCHES);
  const enough = stopwatch({ firstMs, loss, stepMs: (performance.now() - start) / CHECKED_STEP });
  for (let count = CHECKED_STEP; !enough(); count++) await step(count % BATCHES);
}
