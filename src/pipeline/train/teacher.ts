/** A teacher: a model whose outputs are what another one is trained towards, computed for each batch as it is seen. */

import { withTaps } from "../../engines/taps.ts";
import type { Feeds, Model, NDArray } from "../../ir/model.ts";
import { fail } from "../../numeric/errors.ts";
import type { Blocks } from "../../train/blocks.ts";
import { type LossSpec, type Lossy, lossParts, predictionOf, trainedOutput } from "../../train/losses.ts";
import type { TrainHost } from "./run.ts";

/** A model, and where its outputs go. */
export interface Teacher {
  readonly model: Model;
  /** Output of the teacher -> input of the step. */
  readonly targets: ReadonlyMap<string, string>;
  /** The output among them whose mean over all views of a sample is learned; others are those of the first view. */
  readonly answer?: string;
}

/** A teacher that is open. */
export interface TeacherSession extends AsyncDisposable {
  /** Targets for a batch, by input of the step; `views` are the same samples, first as the model sees them. */
  targets(views: readonly Feeds[]): Promise<Feeds>;
}

/** A teacher that says what `model` computes for each value: value -> input of the step; `answer` is one of the values. */
export function teacherOf(model: Model, targets: ReadonlyMap<string, string>, answer?: string): Teacher {
  const tapped = withTaps(model, [...targets.keys()]);
  const outputs = tapped.graph.outputs.filter(({ name }) => targets.has(name));
  const asked = { ...tapped, graph: { ...tapped.graph, outputs } };
  return { model: asked, targets, ...(answer !== undefined && { answer }) };
}

/** The teacher for the distillation in a loss: what `model` says at the output that is trained. Undefined where none is. */
export function teacherFor(model: Model, spec: LossSpec, { targets }: Lossy, output?: string): Teacher | undefined {
  const index = lossParts(spec).findIndex(({ loss }) => loss.kind === "distillation");
  if (index < 0) return undefined;
  const value = predictionOf(model.graph, trainedOutput(model, output).name, lossParts(spec)[index]!.loss);
  return teacherOf(model, new Map([[value, targets[index]!.name]]), value);
}

/** The teacher for a loss over blocks: what `model` says at the end of each. */
export const blockTeacher = (model: Model, { values, targets }: Blocks): Teacher =>
  teacherOf(model, new Map(values.map((value, index) => [value, targets[index]!.name])));

function meanOf(arrays: readonly NDArray[]): NDArray {
  const sum = new Float64Array(arrays[0]!.data.length);
  for (const { data } of arrays) for (let i = 0; i < sum.length; i++) sum[i]! += (data as Float32Array)[i]!;
  return { ...arrays[0]!, data: Float32Array.from(sum, (value) => value / arrays.length) };
}

/** Opens a teacher; its inputs must be among what a batch holds. */
export async function openTeacher(host: TrainHost, { model, targets, answer }: Teacher): Promise<TeacherSession> {
  const staged = await host.stage(model, "teacher.onnx", "scratch");
  const dispose = () => staged[Symbol.asyncDispose]();
  const session = await (host.background ?? host.engine)
    .open(staged.place, { threads: host.threads })
    .catch(async (error) => {
      await dispose();
      throw error;
    });
  const inputs = session.inputs.map(({ name }) => name);
  const says = (batch: Feeds, outputs: readonly string[]) => {
    const feeds = inputs.map((name) => {
      const array = batch[name] ?? fail("data", `training: the teacher takes "${name}", which the data lacks`);
      return [name, array] as const;
    });
    return session.run(Object.fromEntries(feeds), outputs);
  };
  return {
    async targets([seen, ...others]) {
      const found = { ...(await says(seen!, [...targets.keys()])) };
      if (answer !== undefined && others.length > 0) {
        const answers = [found[answer]!];
        for (const view of others) answers.push((await says(view, [answer]))[answer]!);
        found[answer] = meanOf(answers);
      }
      return Object.fromEntries([...targets].map(([output, input]) => [input, found[output]!]));
    },
    async [Symbol.asyncDispose]() {
      await session.close();
      await dispose();
    },
  };
}
