/** Samples, labels and losses that a request for training names. */
import { openNpy } from "../containers/npy.ts";
import { checkLabels, type TrainingData, trainingData, withLabels, withTargets } from "../containers/training-data.ts";
import type { Model } from "../ir/model.ts";
import { floatsOf } from "../numeric/convert.ts";
import { fail } from "../numeric/errors.ts";
import type { Host } from "../pipeline/host.ts";
import { type LossSpec, lossParts, type SingleLoss, trainedOutput } from "../train/losses.ts";
import { openLabels } from "./data.ts";
import { reopeningSource } from "./file-source.ts";
import type { TrainRequest } from "./requests.ts";
import { openSamples, type Samples } from "./samples.ts";

/** What a model is trained with. */
export interface TrainingSamples {
  readonly samples: Samples;
  readonly data: TrainingData;
  readonly loss: LossSpec;
  /** Class numbers of the samples, where the loss reads them. */
  readonly labels?: Int32Array;
}

const mixed = (labels: SingleLoss, distill: number): LossSpec =>
  distill === 0
    ? labels
    : {
        kind: "mix",
        parts: [
          { weight: 1 - distill, loss: labels },
          { weight: distill, loss: { kind: "distillation" } },
        ],
      };

/** The loss asked for, or the one that what was given allows. */
export function lossOf({ labels, loss, smoothing, distill, mode, views }: TrainRequest): LossSpec {
  const kind = loss ?? (labels === undefined || distill === 1 ? "distillation" : "cross-entropy");
  if (kind === "distillation") {
    if (mode === "float" && views === 1)
      fail(
        "usage",
        "a float model that imitates itself learns nothing; give right answers with --labels, or let it learn its mean answer for views with --views and --augment",
      );
    return { kind };
  }
  if (labels === undefined) fail("usage", `the loss ${kind} needs right answers; give them with --labels`);
  return kind === "mse" ? { kind } : mixed({ kind, ...(smoothing > 0 && { smoothing }) }, distill);
}

/** In words, for reports: "0.5 cross-entropy + 0.5 distillation + 10 features". */
export const lossWords = (spec: LossSpec, features = 0): string =>
  [...lossParts(spec).map(({ weight, loss }) => [weight, loss.kind] as const), [features, "features"] as const]
    .filter(([weight]) => weight !== 0)
    .map(([weight, what]) => (weight === 1 ? what : `${Number(weight.toPrecision(6))} ${what}`))
    .join(" + ");

/** Number of classes: the length of the output's last axis, as declared or as a run shows it. */
async function classesOf(host: Host, place: string, model: Model, samples: Samples): Promise<number> {
  const { name, shape } = trainedOutput(model);
  const declared = shape?.at(-1);
  if (typeof declared === "number") return declared;
  const session = await host.engine.open({ path: place }, { threads: host.threads });
  try {
    for await (const feeds of samples.data.batches(1)) return (await session.run(feeds))[name]!.shape.at(-1) ?? 1;
    return 1;
  } finally {
    await session.close();
  }
}

async function valuesOf(path: string) {
  if (!path.endsWith(".npy")) fail("usage", `${path}: the loss mse reads values from a .npy, one row for each sample`);
  const array = await openNpy(await reopeningSource(path), path);
  const { dtype, shape, data } = await array.rows(0, array.shape[0] ?? 0);
  return { dtype: "float32" as const, shape, data: floatsOf(data, dtype) };
}

/** Opens what the request names, and checks that samples, labels and model fit each other. */
export async function openTraining(
  request: TrainRequest,
  { path, model }: { readonly path: string; readonly model: Model },
  host: Host,
): Promise<TrainingSamples> {
  const loss = lossOf(request);
  const samples = await openSamples(request.data, model);
  const plain = await trainingData(samples.data);
  if (request.labels === undefined || loss.kind === "distillation") return { samples, data: plain, loss };
  if (loss.kind === "mse") return { samples, loss, data: withTargets(plain, "target", await valuesOf(request.labels)) };
  const labels = await openLabels(request.labels, samples.data);
  checkLabels(labels, await classesOf(host, path, model, samples), request.labels);
  return { samples, loss, labels, data: withLabels(plain, "labels", labels) };
}
