/** The training loop: batches in an order that follows from a seed, one run of the step graph for one or several of them. */
import { type Checkpoint, checkpointBytes, MAX_CHECKPOINT_BYTES } from "../../containers/checkpoint.ts";
import type { Feeds } from "../../ir/model.ts";
import { fail } from "../../numeric/errors.ts";
import { rateAt } from "../../train/schedule.ts";
import { type Unrolled, unroll } from "../../train/unroll.ts";
import { type Hooks, noHooks, type ProgressStep, stopIfAborted } from "../progress.ts";
import { checkBelongs, identityOf } from "./identity.ts";
import { type Loop, sessionLoop } from "./loop.ts";
import { firstNonFinite } from "./non-finite.ts";
import { augmentRandom, rowsOfSteps, sampleRandom, samplesOfSteps } from "./order.ts";
import {
  batchingOf,
  checkRun,
  chooseUnroll,
  initialState,
  numbersAt,
  stepCount,
  type Trained,
  type TrainHost,
  type TrainOptions,
  type TrainRun,
} from "./run.ts";
import { openTeacher, type TeacherSession } from "./teacher.ts";

/** Room for what stands beside the numbers in a checkpoint. */
const HEADER_BYTES = 2 ** 24;

/** A run under way: what stays the same from step to step. */
interface Running {
  readonly host: TrainHost;
  readonly run: TrainRun;
  readonly steps: number;
  readonly hooks: Hooks;
  readonly teacher: TeacherSession | undefined;
  readonly rowsOf: (step: number) => readonly number[];
  readonly progress: ProgressStep;
  readonly losses: Float32Array;
  readonly save: (step: number, state: () => Promise<Feeds>, force: boolean) => Promise<void>;
}

/** One step's own feeds, and its samples. */
interface Batch {
  readonly feeds: Feeds;
  readonly samples: number;
}

/** The samples of a step as the model sees them, then as its teacher sees them besides. */
async function viewsAt({ data, augment, seed, teacher, views = 1 }: TrainRun, indices: readonly number[], at: number) {
  const rows = await data.rows(indices);
  if (augment === undefined) return [rows];
  if (teacher?.answer === undefined || views === 1) return [await augment.apply(rows, augmentRandom(seed, at))];
  const found: Feeds[] = [];
  for (let view = 0; view < views; view++)
    found.push(await augment.apply(rows, augmentRandom(seed, at, view), sampleRandom(seed, at)));
  return found;
}

async function batchAt({ run, steps, teacher, rowsOf }: Running, at: number): Promise<Batch> {
  const indices = rowsOf(at);
  const views = await viewsAt(run, indices, at);
  const targets = teacher ? await teacher.targets(views) : {};
  return { feeds: { ...views[0]!, ...targets, ...numbersAt(run, steps, at) }, samples: indices.length };
}

async function batchesAt(running: Running, first: number, count: number): Promise<readonly Batch[]> {
  const found: Batch[] = [];
  for (let i = 0; i < count; i++) found.push(await batchAt(running, first + i));
  return found;
}

const feedsOf = (form: Unrolled, batches: readonly Batch[]): Feeds =>
  Object.fromEntries(
    batches.flatMap(({ feeds }, index) =>
      Object.entries(feeds).map(([name, array]) => [form.input(name, index), array] as const),
    ),
  );

async function openLoop({ host }: Running, form: Unrolled): Promise<Loop & AsyncDisposable> {
  const staged = await host.stage(form.model, "step.onnx", "scratch");
  try {
    const options = { threads: host.threads, spin: true };
    const loop = host.loop
      ? await host.loop(staged.place, form.next, options)
      : sessionLoop(await host.engine.open(staged.place, options), form.next);
    return {
      ...loop,
      async [Symbol.asyncDispose]() {
        await loop.close();
        await staged[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await staged[Symbol.asyncDispose]();
    throw error;
  }
}

/** Lets timers and signals have their turn where the engine runs in this thread. */
const breathe = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));
const BREATH_MS = 100;
/** Steps whose mean loss is shown. */
const SHOWN = 50;

function shown({ losses, run, steps }: Running, at: number): string {
  const last = losses.subarray(Math.max(0, at - SHOWN), at);
  const mean = last.reduce((sum, loss) => sum + loss, 0) / last.length;
  return `loss ${mean.toPrecision(3)}, rate ${rateAt({ ...run.schedule, steps }, at).toPrecision(2)}`;
}

/** Runs groups of `form.count` steps while whole ones are left; gives the step it came to. */
async function runGroups(running: Running, form: Unrolled, loop: Loop, from: number): Promise<number> {
  const { steps, hooks, losses, progress, save } = running;
  const fetches = [...form.losses, ...form.norms];
  let at = from;
  let breath = performance.now();
  let ready = batchesAt(running, at + 1, form.count);
  while (true) {
    const batches = await ready;
    const run = loop.run(feedsOf(form, batches), fetches);
    const more = at + 2 * form.count <= steps;
    if (more) ready = batchesAt(running, at + form.count + 1, form.count);
    ready.catch(() => {});
    const found = await run;
    const bad = form.losses.findIndex((_, i) => !isNumber(found, form.losses[i]!) || !isNumber(found, form.norms[i]!));
    for (const [i, name] of form.losses.entries()) losses[at + i] = found[name]!.data[0] as number;
    if (bad >= 0) await explain(running, loop, batches.slice(0, bad + 1), at);
    at += form.count;
    for (const { samples } of batches) progress.tick(samples, shown(running, at));
    await save(at, () => loop.state(), hooks.signal.aborted);
    stopIfAborted(hooks.signal);
    if (!more) return at;
    if (running.host.loop === undefined && performance.now() - breath > BREATH_MS) {
      await breathe();
      breath = performance.now();
    }
  }
}

const isNumber = (found: Feeds, name: string): boolean => Number.isFinite(found[name]!.data[0]);

/** Stops the run: the loss or a gradient of the last of `batches` is not finite. Says what was the first such value. */
async function explain(running: Running, loop: Loop, batches: readonly Batch[], done: number): Promise<never> {
  const { host, run, losses } = running;
  const step = done + batches.length;
  const single = unroll(run.step, 1);
  await using alone = await openLoop(running, single);
  await alone.load(await loop.state());
  for (const { feeds } of batches.slice(0, -1)) await alone.run(feeds, [run.step.loss]);
  const feeds = { ...batches.at(-1)!.feeds, ...(await alone.state()) };
  const culprit = await firstNonFinite(host, run.step.model, feeds);
  const loss = losses[step - 1]!;
  const what = Number.isFinite(loss) ? "the gradients are not finite" : `the loss is ${loss}`;
  const first = culprit === undefined ? "" : `; the first value that is not a finite number is ${culprit}`;
  return fail("data", `training: ${what} at step ${step}${first}; lower the learning rate or clip the gradients`);
}

/** Saves at most once in a while, and at the end or when asked. */
function saver(
  running: Omit<Running, "save">,
  options: TrainOptions["save"],
  identity: Checkpoint["identity"],
): Running["save"] {
  let last = performance.now();
  return async (step, state, force) => {
    if (options === undefined || step === 0) return;
    const due = performance.now() - last >= options.seconds * 1000;
    if (!due && !force && step < running.steps) return;
    await options.write({ step, state: await state(), losses: running.losses.slice(0, step), identity });
    last = performance.now();
  };
}

async function runAll(running: Running, start: Pick<Checkpoint, "step" | "state">): Promise<Trained> {
  const { run, steps, losses } = running;
  let { step: at, state } = start;
  const several = chooseUnroll(run, steps);
  for (const count of several === 1 ? [1] : [several, 1]) {
    if (at + count > steps) continue;
    const form = unroll(run.step, count);
    await using loop = await openLoop(running, form);
    await loop.load(state);
    at = await runGroups(running, form, loop, at);
    state = await loop.state();
  }
  return { state, losses };
}

/** Trains from the step's initial state, or goes on where a checkpoint of the same run was made. */
export async function train(
  host: TrainHost,
  run: TrainRun,
  hooks: Hooks = noHooks,
  options: TrainOptions = {},
): Promise<Trained> {
  checkRun(run);
  const steps = stepCount(run);
  const initial = await initialState(run.step);
  const { resume, save } = options;
  if (save && checkpointBytes(initial, steps) > MAX_CHECKPOINT_BYTES - HEADER_BYTES)
    fail("limit", "training: the state is too large for a checkpoint; train without --checkpoint");
  const identity = resume || save ? await identityOf(host, run, initial, chooseUnroll(run, steps)) : {};
  if (resume) checkBelongs(resume.checkpoint, identity, initial, resume.where);
  const start = resume?.checkpoint ?? { step: 0, state: initial, losses: new Float32Array(0) };
  const losses = new Float32Array(steps);
  losses.set(start.losses);
  await using teacher = run.teacher && (await openTeacher(host, run.teacher));
  const batching = batchingOf(run);
  const rowsOf = rowsOfSteps({ ...batching, seed: run.seed });
  const left = samplesOfSteps(batching, steps) - samplesOfSteps(batching, start.step);
  const progress = hooks.progress.step("training", left);
  const parts = { host, run, steps, hooks, teacher, rowsOf, progress, losses };
  const trained = await runAll({ ...parts, save: saver({ ...parts }, save, identity) }, start);
  progress.done(`loss ${losses.at(-1)?.toPrecision(3) ?? "none"}`);
  return trained;
}
