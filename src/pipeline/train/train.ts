/** The training loop: batches in an order that follows from a seed, one run of the step graph for each. */
import type { TrainingData } from "../../containers/training-data.ts";
import type { Session } from "../../engines/contract.ts";
import type { Feeds, NDArray, Tensor } from "../../ir/model.ts";
import { readAll } from "../../ir/source.ts";
import { decodeFloats } from "../../numeric/convert.ts";
import { fail } from "../../numeric/errors.ts";
import { rng } from "../../numeric/rng.ts";
import { rateAt, type Schedule } from "../../train/schedule.ts";
import { nextOf, numberInput, RATE, type TrainingStep } from "../../train/step.ts";
import type { Host } from "../host.ts";
import { type Hooks, noHooks, stopIfAborted } from "../progress.ts";

/** One training run: everything its result depends on. */
export interface TrainRun {
  readonly step: TrainingStep;
  readonly data: TrainingData;
  readonly epochs: number;
  /** Samples a step; the last batch of an epoch may be smaller. */
  readonly batch: number;
  readonly schedule: Omit<Schedule, "steps">;
  /** Order of the samples, and everything else that is drawn. */
  readonly seed: number;
}

/** Where a run ended. */
export interface Trained {
  /** Final values of everything that goes round, by name. */
  readonly state: Feeds;
  /** Loss of every step. */
  readonly losses: Float32Array;
}

/** Steps of a whole run. */
export const stepCount = ({ data, epochs, batch }: Pick<TrainRun, "data" | "epochs" | "batch">): number =>
  epochs * Math.ceil(data.length / batch);

/** The samples of an epoch in the order they are shown. */
export const epochOrder = (length: number, seed: number, epoch: number): readonly number[] =>
  rng(seed * 1_000_003 + epoch).shuffle(Array.from({ length }, (_, index) => index));

const scalarOf = (value: number): NDArray => ({ dtype: "float32", shape: [], data: Float32Array.of(value) });

const arrayOf = async ({ dtype, shape, data }: Tensor): Promise<NDArray> => ({
  dtype,
  shape,
  data: decodeFloats(await readAll(data), dtype),
});

/** Initial values of the state. */
export async function initialState({ state }: TrainingStep): Promise<Feeds> {
  const found: [string, NDArray][] = [];
  for (const tensor of state) found.push([tensor.name, await arrayOf(tensor)]);
  return Object.fromEntries(found);
}

/** What a step is fed besides its batch and the state. */
export function numbersAt({ step, schedule }: TrainRun, steps: number, at: number): Feeds {
  const numbers = Object.entries(step.optimizer.numbers(at)).map(([name, value]) => [
    numberInput(name),
    scalarOf(value),
  ]);
  return { ...Object.fromEntries(numbers), [RATE]: scalarOf(rateAt({ ...schedule, steps }, at)) };
}

const nextState = ({ state }: TrainingStep, outputs: Feeds): Feeds =>
  Object.fromEntries(state.map(({ name }) => [name, outputs[nextOf(name)]!]));

async function loop(session: Session, run: TrainRun, hooks: Hooks): Promise<Trained> {
  const { step, data, epochs, batch, seed } = run;
  const steps = stepCount(run);
  const progress = hooks.progress.step("training", steps);
  const losses = new Float32Array(steps);
  let state = await initialState(step);
  let at = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = epochOrder(data.length, seed, epoch);
    for (let first = 0; first < order.length; first += batch) {
      stopIfAborted(hooks.signal);
      const rows = await data.rows(order.slice(first, first + batch));
      const outputs = await session.run({ ...rows, ...state, ...numbersAt(run, steps, ++at) });
      losses[at - 1] = outputs[step.loss]!.data[0] as number;
      if (!Number.isFinite(losses[at - 1]))
        fail("data", `training: the loss is ${losses[at - 1]} at step ${at}; lower the learning rate`);
      state = nextState(step, outputs);
      progress.tick();
    }
  }
  progress.done(`loss ${losses.at(-1)?.toPrecision(3) ?? "none"}`);
  return { state, losses };
}

/** Trains from the step's initial state. */
export async function train(
  host: Pick<Host, "engine" | "stage" | "threads">,
  run: TrainRun,
  hooks: Hooks = noHooks,
): Promise<Trained> {
  await using staged = await host.stage(run.step.model, "step.onnx", "scratch");
  const session = await host.engine.open(staged.place, { threads: host.threads });
  try {
    return await loop(session, run, hooks);
  } finally {
    await session.close();
  }
}
