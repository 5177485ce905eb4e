/** Whether a deployed model does what was trained: its classes against those of the fake-quantized one. */
import type { Engine, Session } from "../../engines/contract.ts";
import type { Model, NDArray } from "../../ir/model.ts";
import { floatsOf } from "../../numeric/convert.ts";
import { addAgreement, addTopK, type Hits, noHits, share } from "../../numeric/metrics.ts";
import type { Host, Staged } from "../host.ts";
import type { Finding } from "../result.ts";
import { batchSize, type Evaluation } from "../verify/outputs.ts";

/** What comparing both models gave; empty where the first output is not scores of classes. */
export interface FakeAgreement {
  /** Share of the samples that both put in the same class. */
  readonly agreement?: number;
  /** Share of the labelled samples that the fake-quantized model gets right. */
  readonly top1?: number;
}

/** Whether the file does what was trained, in words. */
export const asTrained = ({ agreement }: FakeAgreement): readonly Finding[] =>
  agreement === undefined
    ? []
    : [
        {
          severity: "info",
          code: "as-trained",
          message: `the file answers ${(100 * agreement).toFixed(1)} % of the samples as the model did while it was trained`,
        },
      ];

interface Tally {
  agreement: Hits;
  right: Hits;
  samples: number;
}

const scoresOf = (array: NDArray): Float32Array => floatsOf(array.data, array.dtype);

async function tally(fake: Session, deployed: Session, { data, labels }: Evaluation): Promise<Tally | undefined> {
  const found: Tally = { agreement: noHits, right: noHits, samples: 0 };
  const { name } = fake.outputs[0]!;
  for await (const feeds of data.batches(batchSize(fake.inputs))) {
    const [trained, real] = [(await fake.run(feeds, [name]))[name]!, (await deployed.run(feeds, [name]))[name]!];
    const [count = 0, classes = 0] = trained.shape;
    if (trained.shape.length !== 2 || classes < 2) return undefined;
    const scores = scoresOf(trained);
    found.agreement = addAgreement(found.agreement, scores, scoresOf(real), classes);
    const own = Array.from({ length: count }, (_, index) => labels?.[found.samples + index] ?? -1);
    if (labels !== undefined) found.right = addTopK(found.right, scores, own, classes, 1);
    found.samples += count;
  }
  return found;
}

/** Runs the fake-quantized model and the deployed one, which may need another engine, on the evaluation's samples. */
export async function fakeAgreement(
  { engine, stage, threads }: Pick<Host, "engine" | "stage" | "threads">,
  fake: Model,
  deployed: Staged,
  evaluation: Evaluation,
  deployedEngine: Engine = engine,
): Promise<FakeAgreement> {
  await using staged = await stage(fake, "fake.onnx", "scratch");
  // as it is written: the engine would make integer kernels of it, and the deployed model be compared with itself
  const trained = await engine.open(staged.place, { threads, optimize: "none" });
  try {
    const real = await deployedEngine.open(deployed.place, { threads });
    try {
      const found = await tally(trained, real, evaluation);
      if (found === undefined || found.samples === 0) return {};
      return {
        agreement: share(found.agreement),
        ...(found.right.count > 0 && { top1: share(found.right) }),
      };
    } finally {
      await real.close();
    }
  } finally {
    await trained.close();
  }
}
