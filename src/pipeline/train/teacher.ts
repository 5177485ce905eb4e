/** A teacher: a model whose outputs are what another one is trained towards, computed for each batch as it is seen. */

import { withTaps } from "../../engines/taps.ts";
import type { Feeds, Model } from "../../ir/model.ts";
import { fail } from "../../numeric/errors.ts";
import type { Blocks } from "../../train/blocks.ts";
import { type LossSpec, type Lossy, lossParts, predictionOf, trainedOutput } from "../../train/losses.ts";
import type { TrainHost } from "./run.ts";

/** A model, and where its outputs go. */
export interface Teacher {
  readonly model: Model;
  /** Output of the teacher -> input of the step. */
  readonly targets: ReadonlyMap<string, string>;
}

/** A teacher that is open. */
export interface TeacherSession extends AsyncDisposable {
  /** Targets for a batch, by input of the step. */
  targets(batch: Feeds): Promise<Feeds>;
}

/** A teacher that says what `model` computes for each value: value -> input of the step. */
export function teacherOf(model: Model, targets: ReadonlyMap<string, string>): Teacher {
  const tapped = withTaps(model, [...targets.keys()]);
  const outputs = tapped.graph.outputs.filter(({ name }) => targets.has(name));
  return { model: { ...tapped, graph: { ...tapped.graph, outputs } }, targets };
}

/** The teacher for the distillation in a loss: what `model` says at the output that is trained. Undefined where none is. */
export function teacherFor(model: Model, spec: LossSpec, { targets }: Lossy, output?: string): Teacher | undefined {
  const index = lossParts(spec).findIndex(({ loss }) => loss.kind === "distillation");
  if (index < 0) return undefined;
  const value = predictionOf(model.graph, trainedOutput(model, output).name, lossParts(spec)[index]!.loss);
  return teacherOf(model, new Map([[value, targets[index]!.name]]));
}

/** The teacher for a loss over blocks: what `model` says at the end of each. */
export const blockTeacher = (model: Model, { values, targets }: Blocks): Teacher =>
  teacherOf(model, new Map(values.map((value, index) => [value, targets[index]!.name])));

/** Opens a teacher; its inputs must be among what a batch holds. */
export async function openTeacher(host: TrainHost, { model, targets }: Teacher): Promise<TeacherSession> {
  const staged = await host.stage(model, "teacher.onnx", "scratch");
  const dispose = () => staged[Symbol.asyncDispose]();
  const session = await (host.background ?? host.engine)
    .open(staged.place, { threads: host.threads })
    .catch(async (error) => {
      await dispose();
      throw error;
    });
  const inputs = session.inputs.map(({ name }) => name);
  return {
    async targets(batch) {
      const feeds = inputs.map((name) => {
        const array = batch[name] ?? fail("data", `training: the teacher takes "${name}", which the data lacks`);
        return [name, array] as const;
      });
      const found = await session.run(Object.fromEntries(feeds), [...targets.keys()]);
      return Object.fromEntries([...targets].map(([output, input]) => [input, found[output]!]));
    },
    async [Symbol.asyncDispose]() {
      await session.close();
      await dispose();
    },
  };
}
