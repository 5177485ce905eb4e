/** fewbit train as a person uses it: learning, stopping and going on, and everything that can be wrong with a request. */
import { spawn } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { readOnnx } from "../../src/containers/onnx/index.ts";
import { floatTensor, node, onnxModel, valueInfo } from "../../src/ir/build.ts";
import { bytesSource } from "../../src/ir/source.ts";
import { smallModel, spiral } from "../../src/pipeline/train/small.case.ts";
import {
  checksum,
  fewbit,
  fewbitJson,
  indices,
  type Json,
  listing,
  refused,
  samples,
  saved,
  savedArray,
  workspace,
} from "./cli.case.ts";
import { cnn } from "./models.case.ts";

const COUNT = 240;

interface Place {
  readonly folder: string;
  /** What every request begins with. */
  readonly base: readonly string[];
  readonly out: string;
  readonly ckpt: string;
}

/** A small model that knows nothing yet, samples with labels, and others to judge on. */
async function place(): Promise<Place> {
  const folder = await workspace();
  const model = await saved(folder, smallModel());
  const names: string[] = [];
  for (const [name, seed] of [
    ["train", 1],
    ["test", 2],
  ] as const) {
    const { x, labels } = spiral(COUNT, seed);
    names.push(await savedArray(folder, `${name}.npy`, { dtype: "float32", shape: [COUNT, 2], data: x }));
    const path = join(folder, `${name}.json`);
    await writeFile(path, JSON.stringify([...labels]));
    names.push(path);
  }
  const [data, labels, test, testLabels] = names as [string, string, string, string];
  const base = ["train", model, "--data", data, "--labels", labels, "--eval-data", test, "--eval-labels", testLabels];
  return { folder, base: [...base, "--no-report"], out: join(folder, "out.onnx"), ckpt: join(folder, "run.ckpt") };
}

/** When a file last changed; 0 before it exists. */
const changedAt = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

const trained = async (argv: readonly string[]): Promise<Json> => {
  const { code, json, stderr } = await fewbitJson(argv);
  expect(code, stderr).toBe(0);
  return json;
};

describe("training", () => {
  it("in floats makes the model better at samples it has not seen, and says how it went", async () => {
    const { base, out } = await place();
    const json = await trained([...base, "--epochs", "40", "--rate", "0.02", "-o", out]);
    expect(json.metrics.top1.after).toBeGreaterThan(json.metrics.top1.before + 0.2);
    expect(json.training).toMatchObject({ mode: "float", epochs: 40, batch: 32, steps: 320, loss: "cross-entropy" });
    expect(json.training.losses).toHaveLength(200);
    expect(json.training.losses.at(-1)).toBeLessThan(json.training.losses[0] / 2);
    expect(json.findings.map(({ code }: Json) => code)).toEqual([]);
    const again = `${out}2.onnx`;
    await trained([...base, "--epochs", "40", "--rate", "0.02", "-o", again]);
    expect(await checksum(again)).toBe(await checksum(out));
  });

  it("learns its own mean answer for several views of each image, without labels", async () => {
    const folder = await workspace();
    const model = await saved(folder, cnn());
    const data = await savedArray(folder, "x.npy", samples([64, 3, 16, 16]));
    const views = ["--views", "4", "--augment", "flip,shift:1"];
    const { training } = await trained(["train", model, "--data", data, ...views, "--epochs", "20", "--no-report"]);
    expect(training).toMatchObject({ mode: "float", loss: "distillation", steps: 40 });
    const mean = (losses: readonly number[]) => losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
    expect(mean(training.losses.slice(-10))).toBeLessThan(mean(training.losses.slice(0, 10)));
  });

  it.each([
    ["qat", "w4a8", ["--distill", "0.7", "--features", "2"], "0.3 cross-entropy + 0.7 distillation + 2 features"],
    ["low-precision", "w8a8", ["--mode", "low-precision", "--distill"], "0.5 cross-entropy + 0.5 distillation"],
  ])("%s makes what the scheme says", async (mode, scheme, more, loss) => {
    const folder = await workspace();
    const model = await saved(folder, cnn());
    const data = await savedArray(folder, "x.npy", samples([64, 3, 16, 16]));
    const labels = await savedArray(folder, "y.npy", indices([64], 10));
    const argv = ["train", model, "--data", data, "--labels", labels, "-s", scheme, "--epochs", "2", "--no-report"];
    const json = await trained([...argv, "--augment", "flip,shift:1,warp,color", "--clip", "1", ...more]);
    expect(json).toMatchObject({
      scheme,
      output: expect.stringMatching(new RegExp(`model\\.${scheme}\\.trained\\.onnx$`)),
    });
    expect(json.training).toMatchObject({ mode, steps: 4, loss });
    expect(json.integerShare).toBeGreaterThan(0);
    expect(json.findings.map(({ code }: Json) => code)).toContain("seen-samples");
  });

  it("gives nodes that a recipe names another scheme", async () => {
    const folder = await workspace();
    const model = await saved(folder, cnn());
    const data = await savedArray(folder, "x.npy", samples([64, 3, 16, 16]));
    const recipe = join(folder, "recipe.json");
    await writeFile(recipe, JSON.stringify({ rules: [{ match: { node: ["head"] }, scheme: "w8a8" }] }));
    const out = join(folder, "out.onnx");
    await trained(["train", model, "--data", data, "-s", "w2a8", "--epochs", "1", "--recipe", recipe, "-o", out]);
    const { graph } = await readOnnx(bytesSource(await readFile(out)));
    const dtypes = [...graph.tensors.values()].filter(({ shape }) => shape.length > 1).map(({ dtype }) => dtype);
    expect(dtypes.filter((dtype) => dtype === "int8")).toHaveLength(1);
    expect(dtypes).toContain("int2");
  });

  it("towards values learns a line", async () => {
    const folder = await workspace();
    const line = onnxModel({
      inputs: [valueInfo("x", "float32", ["batch", 2])],
      outputs: [valueInfo("y", "float32", ["batch", 1])],
      nodes: [node("MatMul", ["x", "w"], ["y"])],
      tensors: [floatTensor("w", [2, 1], [0, 0])],
    });
    const x = samples([64, 2]);
    const y = Float32Array.from({ length: 64 }, (_, i) => 3 * Number(x.data[2 * i]) - Number(x.data[2 * i + 1]));
    const model = await saved(folder, line);
    const data = await savedArray(folder, "x.npy", x);
    const values = await savedArray(folder, "y.npy", { dtype: "float32", shape: [64, 1], data: y });
    const argv = ["train", model, "--data", data, "--labels", values, "--loss", "mse", "--rate", "0.1", "--no-report"];
    const json = await trained([...argv, "--epochs", "60"]);
    expect(json.training.losses.at(-1)).toBeLessThan(1e-3);
  });

  it("leaves frozen weights as they are", async () => {
    const { base, out } = await place();
    await trained([...base, "--freeze", "^[wb]1$", "--epochs", "1", "--rate", "0.1", "-o", out]);
    const bytes = await readFile(out);
    const first = smallModel().graph.tensors;
    for (const [name, kept] of [
      ["w1", true],
      ["w2", false],
    ] as const)
      expect(bytes.includes(Buffer.from(first.get(name)!.data.bytes!)), name).toBe(kept);
  });
});

describe("a run that is stopped", () => {
  it("by Ctrl-C saves where it stands, writes nothing else, and goes on to the same result", async () => {
    const { folder, base, out, ckpt } = await place();
    const argv = [...base, "--epochs", "200", "--rate", "0.02"];
    await trained([...argv, "-o", join(folder, "unbroken.onnx")]);
    const stop = new AbortController();
    const watch = setInterval(() => existsSync(ckpt) && stop.abort(), 2);
    onTestFinished(() => clearInterval(watch));
    const watched = { signal: stop.signal };
    const before = Object.keys(await listing(folder));
    const saving = [...argv, "-o", out, "--checkpoint", ckpt, "--save-every", "0"];
    const ran = await fewbitJson(saving, watched);
    clearInterval(watch);
    expect(ran.code, ran.stderr).toBe(130);
    expect(ran.stderr).toMatch(/run\.ckpt holds where training stands; add --resume to go on/);
    expect(Object.keys(await listing(folder))).toEqual([...before, "run.ckpt"].sort());
    expect((await fewbit([...argv, "-o", out, "--checkpoint", ckpt])).stderr).toMatch(
      /run\.ckpt" exists; add --resume/,
    );
    const resumed = await fewbit([...argv, "-o", out, "--checkpoint", ckpt, "--resume"]);
    expect(resumed.stderr).toMatch(/going on from .*run\.ckpt, after step \d+/);
    expect(await checksum(out)).toBe(await checksum(join(folder, "unbroken.onnx")));
  });

  it("by Ctrl-C twice ends at once, even in the middle of a step", async () => {
    const program = new URL("../../dist/cli/run.js", import.meta.url);
    if (process.platform === "win32" || !existsSync(fileURLToPath(new URL("commands/train.js", program))))
      return console.log("skipped: dist/ is not built, or there are no signals");
    const { base, out, ckpt } = await place();
    const script = `import(${JSON.stringify(program.href)}).then(({ run }) => run())`;
    const words = [...base, "--epochs", "9999", "-o", out, "--checkpoint", ckpt, "--save-every", "0"];
    const child = spawn(process.execPath, ["-e", script, "fewbit", ...words], { stdio: "ignore" });
    const watch = setInterval(() => {
      if (!existsSync(ckpt)) return;
      child.kill("SIGINT");
      child.kill("SIGINT");
    }, 2);
    const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
      child.once("close", (...ended) => resolve(ended)),
    );
    clearInterval(watch);
    expect(code === 130 || signal === "SIGINT", `${code} ${signal}`).toBe(true);
  });

  it("by kill -9 at ten random moments ends in the same weights as the unbroken run", {
    timeout: 300_000,
  }, async () => {
    const program = fileURLToPath(new URL("../../dist/cli/run.js", import.meta.url));
    if (!existsSync(program.replace("run.js", "commands/train.js")))
      return console.log("skipped: dist/ is not built; npm run build");
    const { folder, base, out, ckpt } = await place();
    const argv = [...base, "--epochs", "1500", "--rate", "0.02"];
    await trained([...argv, "-o", join(folder, "unbroken.onnx")]);
    const script = `import(${JSON.stringify(new URL("../../dist/cli/run.js", import.meta.url).href)}).then(({ run }) => run())`;
    /** Kills after a time: from the beginning of training, or from the next checkpoint; not at all without one. */
    const start = (kill?: { readonly after: "training" | "checkpoint"; readonly ms: number }) =>
      new Promise<{ signal: string | null; stderr: string }>((resolve) => {
        const often = kill === undefined ? "1" : "0";
        const words = [...argv, "-o", out, "--checkpoint", ckpt, "--resume", "--save-every", often];
        const child = spawn(process.execPath, ["-e", script, "fewbit", ...words], {
          stdio: ["ignore", "ignore", "pipe"],
        });
        const before = changedAt(ckpt);
        let stderr = "";
        child.stderr.on("data", (text) => {
          stderr += text;
        });
        const watch = setInterval(() => {
          const due = kill?.after === "training" ? stderr.includes("training (") : changedAt(ckpt) !== before;
          if (kill === undefined || !due) return;
          clearInterval(watch);
          setTimeout(() => child.kill("SIGKILL"), kill.ms);
        }, 2);
        child.once("close", (_, signal) => {
          clearInterval(watch);
          resolve({ signal, stderr });
        });
      });
    // ten times at most 200 ms of training: a small part of the 12,000 steps, also on a fast machine
    const steps: number[] = [];
    for (let kills = 0; kills < 10; kills++) {
      const after = kills % 2 === 0 ? "training" : "checkpoint";
      const { signal, stderr } = await start({ after, ms: Math.random() * (after === "training" ? 200 : 60) });
      expect(signal, stderr).toBe("SIGKILL");
      steps.push(Number(/after step (\d+)/.exec(stderr)?.[1] ?? 0));
    }
    const { stderr } = await start();
    steps.push(Number(/after step (\d+)/.exec(stderr)?.[1] ?? 0));
    console.log(`killed at steps ${steps.slice(1).join(", ")}`);
    expect(steps.at(-1), stderr).toBeGreaterThan(0);
    expect([...steps].sort((a, b) => a - b)).toEqual(steps);
    expect(await checksum(out)).toBe(await checksum(join(folder, "unbroken.onnx")));
  });
});

describe("bad input", () => {
  it("is refused with one clear line, and nothing is written", async () => {
    const { folder, base } = await place();
    const write = async (name: string, value: unknown): Promise<string> => {
      await writeFile(join(folder, name), JSON.stringify(value));
      return join(folder, name);
    };
    const wrong = Array(COUNT).fill(0);
    wrong[17] = 3;
    const outside = await write("outside.json", wrong);
    const few = await write("few.json", [0, 1, 2]);
    const nan = await savedArray(folder, "nan.npy", {
      dtype: "float32",
      shape: [COUNT, 2],
      data: new Float32Array(2 * COUNT).fill(Number.NaN, 30, 31),
    });
    await writeFile(
      join(folder, "notes.ckpt"),
      "some words that are not a checkpoint, though there are enough of them",
    );
    const [, model, , data, , labels] = base as [string, string, string, string, string, string];
    const own = ["train", model, "--data", data, "--no-report"];
    const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
      [
        [...own, "--labels", outside],
        1,
        /outside\.json: the label of sample 17 is 3, but the model has 3 classes, 0 to 2/,
      ],
      [[...own, "--labels", few], 1, /few\.json: 3 labels, expected 240/],
      [["train", model, "--data", nan, "--labels", labels], 1, /nan\.npy: 1 NaN for input "x"/],
      [[...base, "--batch", "241"], 1, /240 samples, fewer than a batch of 241/],
      [[...base, "--checkpoint", join(folder, "notes.ckpt"), "--resume"], 1, /notes\.ckpt: not a checkpoint/],
      [[...base, "--resume"], 2, /name it with --checkpoint/],
      [["train", model, "--data", "random", "--labels", labels], 2, /can't be trained on random data/],
      [
        own,
        2,
        /imitates itself learns nothing; give right answers with --labels, or let it learn its mean answer for views/,
      ],
      [[...own, "--views", "2"], 2, /2 views of samples that nothing changes are alike/],
      [["train", model], 2, /name them with --data/],
      [[...own, "--mode", "qat"], 2, /--mode qat trains for a scheme; name it with -s/],
      [[...base, "--mode", "float", "-s", "w8a8"], 2, /leave -s w8a8 out/],
      [[...base, "--mode", "flaot"], 2, /did you mean "float"/],
      [[...base, "--optimizer", "lion"], 2, /unknown optimizer "lion"/],
      [[...base, "--augment", "rotate"], 2, /unknown augmentation "rotate"/],
      [[...base, "--augment", "flip"], 2, /augmentation flip: the model takes no images/],
      [[...base, "--augment", "warp:2"], 2, /expected warp:SHARE, above 0 and at most 1/],
      [[...base, "--views", "2"], 2, /labels alone leave unasked; add --distill, or leave it out/],
      [[...base, "--views", "2", "--distill"], 2, /2 views of samples that nothing changes are alike/],
      [[...base, "--views", "2", "--distill", "--augment", "mixup"], 2, /only mixup:0.5 changes, once for all of them/],
      [[...base, "--features", "1"], 2, /leave --features out, or choose --mode qat/],
      [[...base, "--features", "-1"], 2, /--features/],
      [[...base, "--dampening", "0.1"], 2, /leave --dampening out, or choose --mode qat/],
      [[...base, "--gradual"], 2, /has no codes that weights could become; leave --gradual out, or choose --mode qat/],
      [[...base, "--dampening", "2"], 2, /--dampening/],
      [[...base, "--recipe", "r.json"], 2, /leave --recipe out, or choose --mode qat/],
      [[...base, "--freeze", "."], 2, /every parameter is frozen/],
      [[...base, "-o", model], 2, /is a file the model is being read from/],
    ];
    for (const [argv, code, message] of cases) await refused(folder, argv, code, message);
    const { stderr } = await refused(folder, [...base, "-s", "w4a4", "--batch", "241"], 1, /fewer than a batch of 241/);
    expect(stderr).not.toContain("calibrating");
  });

  it("a loss that is no number stops the run, names step and value, and keeps the last checkpoint", async () => {
    const { folder, base, out, ckpt } = await place();
    const argv = [...base, "--optimizer", "sgd", "--rate", "100000", "--warmup", "1", "--save-every", "0"];
    const { code, json } = await fewbitJson([...argv, "--loss", "mse", "--checkpoint", ckpt, "-o", out]);
    expect([code, json.error.code]).toEqual([2, "usage"]);
    const grow = ["--optimizer", "sgd", "--rate", "50", "--schedule", "constant", "--warmup", "1", "--epochs", "200"];
    const line = await saved(
      folder,
      onnxModel({
        inputs: [valueInfo("x", "float32", ["batch", 2])],
        outputs: [valueInfo("y", "float32", ["batch", 3])],
        nodes: [node("MatMul", ["x", "w"], ["h"], { name: "mix" }), node("Mul", ["h", "h"], ["y"], { name: "square" })],
        tensors: [floatTensor("w", [2, 3], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])],
      }),
      "line.onnx",
    );
    const words = ["train", line, ...base.slice(2), ...grow, "--checkpoint", ckpt, "--save-every", "0", "-o", out];
    const ran = await fewbitJson(words);
    expect(ran.code).toBe(1);
    expect(ran.json.error.message).toMatch(
      /^training: (the loss is (NaN|-?Infinity)|the gradients are not finite) at step \d+; the first value that is not a finite number is "\S+" of node "\S+" \(\w+\)/,
    );
    const step = Number(/step (\d+)/.exec(ran.json.error.message)![1]);
    const names = await readdir(folder);
    expect(names).not.toContain("out.onnx");
    expect(step).toBeGreaterThan(8);
    expect(names).toContain("run.ckpt");
  });

  it("an op without a gradient is named with its node", async () => {
    const { folder, base } = await place();
    const odd = onnxModel({
      inputs: [valueInfo("x", "float32", ["batch", 2])],
      outputs: [valueInfo("y", "float32", ["batch", 3])],
      nodes: [
        node("MatMul", ["x", "w"], ["h"], { name: "mix" }),
        node("GridSample", ["h", "h"], ["y"], { name: "strange" }),
      ],
      tensors: [floatTensor("w", [2, 3], [1, 2, 3, 4, 5, 6])],
    });
    const model = await saved(folder, odd, "odd.onnx");
    await refused(
      folder,
      ["train", model, ...base.slice(2)],
      1,
      /node "strange" \(GridSample\): there is no gradient rule/,
    );
  });

  it("weights that are not float32 are refused by name", async () => {
    const { folder, base } = await place();
    const { graph } = smallModel();
    const half = await fewbit(["quantize", base[1]!, "-s", "fp16", "--no-report", "-o", join(folder, "half.onnx")]);
    expect(half.code, half.stderr).toBe(0);
    expect(graph.tensors.size).toBe(4);
    await refused(folder, ["train", join(folder, "half.onnx"), ...base.slice(2)], 1, /holds no float32 weights/);
  });

  it("a file that may not grow further while saving is an error that says so; the old checkpoint stays", async () => {
    const program = new URL("../../dist/cli/run.js", import.meta.url);
    if (process.platform === "win32" || !existsSync(fileURLToPath(new URL("commands/train.js", program))))
      return console.log("skipped: dist/ is not built, or there is no ulimit");
    const folder = await workspace();
    const wide = onnxModel({
      inputs: [valueInfo("x", "float32", ["batch", 64])],
      outputs: [valueInfo("y", "float32", ["batch", 256])],
      nodes: [node("MatMul", ["x", "w"], ["y"])],
      tensors: [
        floatTensor(
          "w",
          [64, 256],
          Float32Array.from({ length: 16_384 }, (_, i) => Math.sin(i)),
        ),
      ],
    });
    const model = await saved(folder, wide);
    const data = await savedArray(folder, "x.npy", samples([64, 64]));
    const labels = await savedArray(folder, "y.npy", indices([64], 256));
    const ckpt = join(folder, "run.ckpt");
    const words = [
      "train",
      model,
      "--data",
      data,
      "--labels",
      labels,
      "--epochs",
      "9",
      "--checkpoint",
      ckpt,
      "--resume",
      "--save-every",
      "0",
      "--no-report",
    ];
    const script = `import(${JSON.stringify(program.href)}).then(({ run }) => run())`;
    // 128 KiB: more than the step's model takes, less than the checkpoint; an ignored SIGXFSZ makes the write fail instead
    const shell = `trap "" XFSZ; ulimit -f 128; exec "$0" "$@"`;
    const run = (limited: boolean) =>
      new Promise<string>((resolve) => {
        const argv = [process.execPath, "-e", script, "fewbit", ...words];
        const child = limited ? spawn("bash", ["-c", shell, ...argv]) : spawn(argv[0]!, argv.slice(1));
        let stderr = "";
        child.stderr.on("data", (text) => {
          stderr += text;
          if (!limited && existsSync(ckpt)) child.kill("SIGKILL");
        });
        child.once("close", () => resolve(stderr));
        const watch = setInterval(() => {
          if (!limited && existsSync(ckpt)) child.kill("SIGKILL");
          if (child.exitCode !== null || child.signalCode !== null) clearInterval(watch);
        }, 1);
      });
    await run(false);
    const before = await checksum(ckpt);
    expect(await run(true)).toMatch(
      /fewbit: can't save the checkpoint ".*run\.ckpt": (the file would be larger|no space)/,
    );
    expect(await checksum(ckpt)).toBe(before);
  });
});
