/** What a run's result depends on, in a form that a checkpoint can carry. */
import type { Checkpoint, RunIdentity } from "../../containers/checkpoint.ts";
import { evenRows } from "../../containers/data-rows.ts";
import { encodeOnnx } from "../../containers/onnx/index.ts";
import type { TrainingData } from "../../containers/training-data.ts";
import type { Feeds, Model } from "../../ir/model.ts";
import { bytesOf } from "../../numeric/convert.ts";
import { fail } from "../../numeric/errors.ts";
import { sha256 } from "../../numeric/sha256.ts";
import type { TrainHost, TrainRun } from "./run.ts";

/** Samples that are looked at: enough to tell data sets apart, few enough not to be felt. */
const LOOKED_AT = 2048;
const LOOK_BATCH = 64;

const utf8 = new TextEncoder();

/** One checksum of several. */
const joined = (parts: readonly string[]): Promise<string> => sha256(utf8.encode(parts.join("\n")));

/** Checksum of values by name. */
export async function digestOfFeeds(feeds: Feeds): Promise<string> {
  const parts: string[] = [];
  for (const [name, { dtype, shape, data }] of Object.entries(feeds))
    parts.push(`${name} ${dtype} ${shape} ${await sha256(bytesOf(data))}`);
  return joined(parts);
}

/** Checksum of a model, constants included. */
export async function digestOfModel(model: Model): Promise<string> {
  const parts: string[] = [];
  const { main, external } = encodeOnnx(model);
  for (const file of [main, ...external]) for await (const chunk of file.chunks()) parts.push(await sha256(chunk));
  return joined(parts);
}

/** Checksum of the number of samples and of up to 2,048 of them, evenly spread. */
export async function digestOfData({ length, rows }: TrainingData): Promise<string> {
  const parts = [String(length)];
  const looked = evenRows(length, Math.min(length, LOOKED_AT));
  for (let first = 0; first < looked.length; first += LOOK_BATCH)
    parts.push(await digestOfFeeds(await rows(looked.slice(first, first + LOOK_BATCH))));
  return joined(parts);
}

/** The identity of a run; `unroll` is the number of steps in one run of the engine, which rounds differently too. */
export async function identityOf(
  { engine, threads }: TrainHost,
  run: TrainRun,
  initial: Feeds,
  unroll: number,
): Promise<RunIdentity> {
  const { step, data, epochs, batch, schedule, seed, augment, views = 1, teacher } = run;
  const { kind, rate, warmup = 0, floor = 0 } = schedule;
  return {
    "step graph": await digestOfModel(step.model),
    "initial weights": await digestOfFeeds(initial),
    data: await digestOfData(data),
    teacher: teacher ? await digestOfModel(teacher.model) : "none",
    optimizer: step.optimizer.label,
    schedule: `${kind} rate=${rate} warmup=${warmup} floor=${floor}`,
    augmentation: `${augment?.label ?? "none"}${views > 1 ? `, ${views} views` : ""}`,
    epochs: String(epochs),
    batch: String(batch),
    seed: String(seed),
    engine: `${engine.name} ${engine.version}, threads ${threads}, steps at once ${unroll}`,
  };
}

/** What differs, for people: settings with both values, checksums only by what they are of. */
function difference(name: string, there: string | undefined, here: string | undefined): string {
  const digest = /^[0-9a-f]{64}$/;
  if (digest.test(there ?? "") || digest.test(here ?? "")) return `another ${name}`;
  return `${name} "${there ?? "none"}" there, "${here ?? "none"}" here`;
}

/** Throws with code "usage" unless the checkpoint is of this very run; `initial` has the shapes its state must have. */
export function checkBelongs(checkpoint: Checkpoint, identity: RunIdentity, initial: Feeds, where: string): void {
  const names = new Set([...Object.keys(checkpoint.identity), ...Object.keys(identity)]);
  const differences = [...names]
    .filter((name) => checkpoint.identity[name] !== identity[name])
    .map((name) => difference(name, checkpoint.identity[name], identity[name]));
  const known = Object.keys(checkpoint.state);
  const fits =
    known.length === Object.keys(initial).length &&
    known.every((name) => String(initial[name]?.shape) === String(checkpoint.state[name]!.shape));
  if (!fits && differences.length === 0) differences.push("other weights");
  if (differences.length > 0)
    fail(
      "usage",
      `${where}: the checkpoint is of another run (${differences.join("; ")}); repeat that run, or leave --resume out to begin anew`,
    );
}
