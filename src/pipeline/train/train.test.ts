import { describe, expect, test } from "vitest";
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from "../../containers/checkpoint.ts";
import { checkLabels, memoryData } from "../../containers/training-data.ts";
import { valueInfo } from "../../ir/build.ts";
import { withGraph } from "../../ir/edit.ts";
import type { FewbitError } from "../../numeric/errors.ts";
import { sgd } from "../../train/optimizers.ts";
import { NOISE } from "../../train/step.ts";
import { noHooks, silent } from "../progress.ts";
import type { Augment } from "./augment.ts";
import { epochOrder } from "./order.ts";
import { numbersAt, stepCount, type TrainRun } from "./run.ts";
import { bits, runOf, smallHost, smallModel, spiral, spiralData, stepOf } from "./small.case.ts";
import { teacherFor } from "./teacher.ts";
import { train } from "./train.ts";

const host = await smallHost();

/** Trains and keeps every checkpoint, as read back from its file. */
async function withCheckpoints(run: TrainRun): Promise<{ final: string; kept: readonly Checkpoint[] }> {
  const kept: Checkpoint[] = [];
  const write = async (checkpoint: Checkpoint) => {
    kept.push(await decodeCheckpoint(await encodeCheckpoint(checkpoint), "test"));
  };
  const { state, losses } = await train(host, run, noHooks, { save: { seconds: 0, write } });
  return { final: JSON.stringify([bits(state), [...losses]]), kept };
}

const resumed = async (run: TrainRun, checkpoint: Checkpoint): Promise<string> => {
  const { state, losses } = await train(host, run, noHooks, { resume: { checkpoint, where: "run.ckpt" } });
  return JSON.stringify([bits(state), [...losses]]);
};

const failure = (work: Promise<unknown>): Promise<FewbitError> =>
  work.then(
    () => expect.unreachable(),
    (error) => error,
  );

describe("a run", () => {
  test("learns, the same to the last bit each time, and otherwise from another seed", async () => {
    const run = runOf({ epochs: 60 });
    const [first, again] = [await train(host, run), await train(host, run)];
    expect(first.losses.at(-1)!).toBeLessThan(first.losses[0]! / 2);
    expect(bits(again.state)).toEqual(bits(first.state));
    expect(bits((await train(host, { ...run, seed: 6 })).state)).not.toEqual(bits(first.state));
  });

  test("shows every sample once an epoch, in an order that changes, and a short batch at the end", async () => {
    const seen: number[][] = [];
    const data = spiralData(90);
    const watched = {
      ...data,
      rows(indices: readonly number[]) {
        seen.push([...indices]);
        return data.rows(indices);
      },
    };
    const run = runOf({ data: watched });
    await train(host, run);
    expect(stepCount(run)).toBe(12);
    expect(seen.map((indices) => indices.length)).toEqual([16, 16, 16, 16, 16, 10, 16, 16, 16, 16, 16, 10]);
    const epochs = [seen.slice(0, 6).flat(), seen.slice(6).flat()];
    for (const epoch of epochs)
      expect([...epoch].sort((a, b) => a - b)).toEqual(Array.from({ length: 90 }, (_, i) => i));
    expect(epochs[0]).not.toEqual(epochs[1]);
    expect(epochs[0]).toEqual(epochOrder(90, run.seed, 0));
  });

  test("tells how many samples are done and what the loss is", async () => {
    const told: [number, string][] = [];
    const step = (title: string, total?: number) => {
      expect([title, total]).toEqual(["training", 180]);
      return { tick: (count = 1, now = "") => void told.push([count, now]), done() {} };
    };
    await train(host, runOf(), { ...noHooks, progress: { ...silent, step } });
    expect(told.reduce((sum, [count]) => sum + count, 0)).toBe(180);
    expect(told[0]![1]).toMatch(/^loss \d\.\d+, rate 0\.020$/);
  });

  test("of a model that fixes its batch leaves out what does not fill one, and refuses another batch", async () => {
    const { step } = stepOf(smallModel(16));
    const run = runOf({ step });
    expect(stepCount(run)).toBe(10);
    expect((await train(host, run)).losses).toHaveLength(10);
    expect((await failure(train(host, { ...run, batch: 8 }))).message).toBe(
      "training: the model takes batches of exactly 16; train with a batch of 16, not 8",
    );
  });

  test("of several steps at once sees the same samples and comes to the same weights but for rounding", async () => {
    const one = await train(host, runOf({ epochs: 3 }));
    const several = await train(host, runOf({ epochs: 3, unroll: 4 }));
    expect(several.losses).toHaveLength(18);
    // the engine may fuse other nodes in the longer graph: a few roundings of 6e-8 in each of 18 steps
    for (const [i, loss] of several.losses.entries()) expect(loss).toBeCloseTo(one.losses[i]!, 5);
  });

  test("is fed noise that follows from seed, step and name", () => {
    const { step } = stepOf();
    const noise = [valueInfo(NOISE, "float32", [3]), valueInfo(`${NOISE}/b`, "float32", [3])];
    const model = withGraph(step.model, { ...step.model.graph, inputs: [...step.model.graph.inputs, ...noise] });
    const run = { ...runOf(), step: { ...step, model } };
    const at = (seed: number, number: number, name: string) => [...numbersAt({ ...run, seed }, 10, number)[name]!.data];
    const first = at(1, 1, NOISE);
    expect(first.every((value) => Number(value) >= 0 && Number(value) < 1)).toBe(true);
    expect(at(1, 1, NOISE)).toEqual(first);
    for (const other of [at(2, 1, NOISE), at(1, 2, NOISE), at(1, 1, `${NOISE}/b`)]) expect(other).not.toEqual(first);
  });
});

describe("a teacher", () => {
  test("is imitated without labels, on what augmentation made of the batch", async () => {
    const taught = (await train(host, runOf({ epochs: 40 }))).state;
    const graph = smallModel().graph;
    const tensors = new Map(
      [...graph.tensors].map(([name, tensor]) => {
        const bytes = new Uint8Array((taught[name]!.data as Float32Array).slice().buffer);
        return [name, { ...tensor, data: { size: bytes.length, bytes, read: async () => bytes } }];
      }),
    );
    const spec = { kind: "distillation" } as const;
    const { step, ...lossy } = stepOf(smallModel(), spec);
    const teacher = teacherFor(withGraph(smallModel(), { ...graph, tensors }), spec, lossy)!;
    const { x } = spiral(90);
    const data = memoryData({ x: { dtype: "float32", shape: [90, 2], data: x } });
    const { losses } = await train(host, runOf({ step, data, teacher, epochs: 20 }));
    expect(losses[0]!).toBeGreaterThan(0.3);
    expect(losses.at(-1)!).toBeLessThan(losses[0]! / 4);
  });
});

describe("a checkpoint", () => {
  const jitter: Augment = {
    label: "jitter",
    apply: ({ x, ...rest }, { normal }) => ({
      ...rest,
      x: { ...x!, data: (x!.data as Float32Array).map((value) => value + 0.01 * normal()) },
    }),
  };

  test.each([1, 4])(
    "made after any step leads to the weights of the unbroken run, %i steps at once",
    async (unroll) => {
      const run = runOf({ augment: jitter, unroll });
      const { final, kept } = await withCheckpoints(run);
      expect(kept.map(({ step }) => step)).toEqual(
        unroll === 1 ? Array.from({ length: 12 }, (_, i) => i + 1) : [4, 8, 12],
      );
      for (const checkpoint of kept) expect(await resumed(run, checkpoint), `step ${checkpoint.step}`).toBe(final);
    },
  );

  test("is written when the run is stopped, and the run says that it was", async () => {
    const stop = new AbortController();
    const step = () => ({ tick: () => stop.abort(), done() {} });
    const kept: Checkpoint[] = [];
    const write = async (checkpoint: Checkpoint) => void kept.push(checkpoint);
    const stopped = train(
      host,
      runOf(),
      { signal: stop.signal, progress: { ...silent, step } },
      { save: { seconds: 999, write } },
    );
    expect((await failure(stopped)).code).toBe("cancelled");
    expect(kept.map((checkpoint) => checkpoint.step)).toEqual([1]);
    expect(await resumed(runOf(), kept[0]!)).toBe((await withCheckpoints(runOf())).final);
  });

  test("of another model, other settings or other data is refused, and what differs is named", async () => {
    const { kept } = await withCheckpoints(runOf());
    const refused = async (changes: Partial<TrainRun>) =>
      (await failure(resumed(runOf(changes), kept[3]!))).message.replace(/^.*another run \((.*)\);.*$/, "$1");
    expect(await refused({ epochs: 3 })).toBe('epochs "2" there, "3" here');
    expect(await refused({ seed: 9, batch: 8 })).toBe('batch "16" there, "8" here; seed "5" there, "9" here');
    expect(await refused({ data: spiralData(90, 2) })).toBe("another data");
    expect(await refused({ augment: jitter })).toBe('augmentation "none" there, "jitter" here');
    expect(await refused({ step: stepOf(smallModel(), { kind: "cross-entropy", smoothing: 0.1 }).step })).toBe(
      "another step graph",
    );
    const other = smallModel();
    const tensors = new Map(other.graph.tensors).set("b2", {
      ...other.graph.tensors.get("b1")!,
      name: "b2",
      shape: [3],
    });
    const bytes = new Uint8Array(Float32Array.of(1, 2, 3).buffer);
    tensors.set("b2", { ...tensors.get("b2")!, data: { size: 12, read: async () => bytes } });
    expect(await refused({ step: stepOf(withGraph(other, { ...other.graph, tensors })).step })).toBe(
      "another initial weights",
    );
  });
});

describe("what goes wrong", () => {
  test("a loss that is no number stops the run, says at which step and which value came first", async () => {
    const { step } = stepOf(smallModel(), { kind: "cross-entropy" }, sgd());
    const kept: number[] = [];
    const write = async (checkpoint: Checkpoint) => void kept.push(checkpoint.step);
    for (const unroll of [1, 4]) {
      const run = runOf({ step, schedule: { kind: "constant", rate: 1e38 }, epochs: 4, unroll });
      const { code, message } = await failure(train(host, run, noHooks, { save: { seconds: 0, write } }));
      expect(code).toBe("data");
      expect(message).toMatch(
        /^training: (the loss is NaN|the gradients are not finite) at step \d; the first value that is not a finite number is "\w.*" of node ".*" \(\w+\).*; lower the learning rate or clip the gradients$/,
      );
      const at = Number(/step (\d+)/.exec(message)![1]);
      expect(Math.max(0, ...kept)).toBeLessThan(at);
    }
  });

  test("an input that is no number is named", async () => {
    const data = spiralData(90);
    const broken = {
      ...data,
      async rows(indices: readonly number[]) {
        const { x, ...rest } = await data.rows(indices);
        return { ...rest, x: { ...x!, data: (x!.data as Float32Array).map((v, i) => (i === 3 ? Number.NaN : v)) } };
      },
    };
    expect((await failure(train(host, runOf({ data: broken })))).message).toMatch(
      /the loss is NaN at step 1; the first value that is not a finite number is input "x"/,
    );
  });

  test("fewer samples than a batch", async () => {
    expect((await failure(train(host, runOf({ data: spiralData(15) })))).message).toBe(
      "training: 15 samples, fewer than a batch of 16; use more, or a smaller batch",
    );
  });

  test("labels out of range", () => {
    expect(() => checkLabels([0, 2, 1], 3, "labels.npy")).not.toThrow();
    expect(() => checkLabels([0, -100], 3, "labels.npy", -100)).not.toThrow();
    expect(() => checkLabels([0, 2, 3], 3, "labels.npy")).toThrow(
      "labels.npy: the label of sample 2 is 3, but the model has 3 classes, 0 to 2",
    );
  });

  test("samples that are no numbers, and arrays of different lengths", () => {
    const x = { dtype: "float32" as const, shape: [2, 2], data: Float32Array.of(1, 2, Number.NaN, 4) };
    expect(() => memoryData({ x })).toThrow('"x" holds NaN in sample 1');
    const labels = { dtype: "int64" as const, shape: [3], data: new BigInt64Array(3) };
    expect(() => memoryData({ labels, x: { ...x, data: new Float32Array(4) } })).toThrow(
      '"x" has 2 samples, but "labels" has 3',
    );
  });
});
