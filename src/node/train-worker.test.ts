import { describe, expect, test } from "vitest";
import { noHooks } from "../pipeline/progress.ts";
import type { TrainHost } from "../pipeline/train/run.ts";
import { bits, runOf, smallModel } from "../pipeline/train/small.case.ts";
import { train } from "../pipeline/train/train.ts";
import { nodeHost } from "./host.ts";
import { stageModel } from "./stage.ts";
import { startTrainWorker } from "./train-worker.ts";

describe.each(["ort-node", "ort-web"])("the training thread with %s", (engine) => {
  test("trains to the bits of this thread, and leaves this one free", async () => {
    const host = await nodeHost({ engine, threads: 1 }, noHooks.signal);
    if (host.engine.name !== engine) return;
    await using worker = startTrainWorker(host.engine, 1);
    const apart: TrainHost = { ...host, background: worker.engine, loop: worker.loop };
    for (const unroll of [1, 4]) {
      const run = runOf({ epochs: 20, unroll });
      let beats = 0;
      const timer = setInterval(() => beats++, 1);
      const found = await train(apart, run);
      clearInterval(timer);
      expect(beats).toBeGreaterThan(3);
      const here = await train(host, run);
      expect(bits(found.state)).toEqual(bits(here.state));
      expect(found.losses).toEqual(here.losses);
    }
  });

  test("opens sessions, and says what an engine's refusal means", async () => {
    const host = await nodeHost({ engine, threads: 1 }, noHooks.signal);
    if (host.engine.name !== engine) return;
    await using worker = startTrainWorker(host.engine, 1);
    await using staged = await stageModel(smallModel(), "small.onnx");
    const session = await worker.engine.open(staged.place);
    expect(session.inputs).toEqual([{ name: "x", dtype: "float32", shape: ["batch", 2] }]);
    const x = { dtype: "float32" as const, shape: [1, 2], data: new Float32Array(2) };
    const { y } = await session.run({ x });
    expect(y!.shape).toEqual([1, 3]);
    expect(x.data).toHaveLength(2);
    await expect(session.run({ x: { ...x, shape: [2, 1] } })).rejects.toThrow(/small\.onnx/);
    await session.close();
    await session.close();
    await expect(worker.engine.open({ path: "/nowhere/model.onnx" })).rejects.toThrow(/can't be found|no such file/);
  });

  test("fails what is asked of it when it ends", async () => {
    const host = await nodeHost({ engine, threads: 1 }, noHooks.signal);
    if (host.engine.name !== engine) return;
    const worker = startTrainWorker(host.engine, 1);
    await using staged = await stageModel(smallModel(), "small.onnx");
    const session = await worker.engine.open(staged.place);
    const run = () => session.run({ x: { dtype: "float32", shape: [1, 2], data: new Float32Array(2) } });
    await run();
    await worker[Symbol.asyncDispose]();
    await expect(run()).rejects.toThrow(/the training thread ended/);
  });
});
