import { describe, expect, it } from "vitest";
import { FewbitError } from "../numeric/errors.ts";
import { sampleCandidate, sampleReport } from "../pipeline/report/sample.case.ts";
import { COMMANDS } from "./commands/index.ts";
import { fakeIo, runCli } from "./fake.case.ts";

const failing = (error: unknown) => async () => {
  throw error;
};

describe("help", () => {
  it("lists every command without one and with --help", async () => {
    for (const line of ["", "--help"]) {
      const { code, stdout, stderr } = await runCli(line);
      expect(code).toBe(0);
      expect(stderr).toBe("");
      for (const { name } of COMMANDS) expect(stdout).toContain(name);
    }
  });

  it("shows at least three examples for every command, and each of them parses", async () => {
    for (const { name, examples } of COMMANDS) {
      const { code, stdout } = await runCli(`${name} --help`);
      expect(code).toBe(0);
      expect(examples.length).toBeGreaterThanOrEqual(3);
      for (const [line] of examples) {
        expect(stdout).toContain(`fewbit ${line}`);
        const { code: ran, stderr } = await runCli(line.replace(/ \|.*/, "").replaceAll("'", ""));
        expect({ line, ran, stderr: stderr.includes("fewbit:") }).toEqual({ line, ran: 0, stderr: false });
      }
    }
  });

  it("prints the version", async () => {
    expect(await runCli("--version")).toMatchObject({ code: 0, stdout: "1.2.3\n" });
  });
});

describe("wrong usage ends with code 2, one line, and nothing done", () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["quantise model.onnx", /unknown command 'quantise'.*did you mean quantize/i],
    ["quantize model.onnx --calibrat x.npz", /unknown option '--calibrat'.*did you mean --calibrate/i],
    ["quantize", /missing required argument 'model'/],
    ["quantize a.onnx b.onnx", /too many arguments/],
    ["quantize m.onnx -s w8a9", /unknown scheme "w8a9"; did you mean "w8a8"\?/],
    ["quantize m.onnx -s zzzzzz", /unknown scheme "zzzzzz"; known: w8a8, .* and /],
    ["quantize m.onnx --engine ort-nod", /unknown engine "ort-nod"; did you mean "ort-node"/],
    ["quantize m.onnx --threads 0", /'--threads <n>'.*whole number from 1/],
    ["quantize m.onnx --group-size 48", /Expected one of 16, 32, 64, 128, 256, or channel/],
    ["quantize m.onnx --max-drop much", /Expected a number from 0 to 100/],
    ["quantize m.onnx --keep (", /Not a regular expression/],
    ["quantize m.onnx --image size=big", /Expected size=PIXELS/],
    ["quantize m.onnx --image colour=1", /Unknown field "colour"; known: size, layout, mean, std/],
    ["quantize m.onnx --activations odd", /Allowed choices are symmetric, asymmetric/],
    ["quantize m.onnx --symmetric --asymmetric", /cannot be used with/],
    ["quantize m.onnx --report m.onnx", /ends in .html/],
    ["quantize m.onnx --labels l.npy", /--labels needs samples; name them with --data/],
    ["compare a.onnx b.onnx", /compare needs samples/],
  ];
  it.each(cases)("%s", async (line, message) => {
    const { code, stdout, stderr, calls } = await runCli(line);
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    expect(stderr.startsWith("fewbit: ")).toBe(true);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(calls.filter(([name]) => name !== "cleanup")).toEqual([]);
  });

  it("is one JSON object on stdout with --json", async () => {
    const { stdout, stderr } = await runCli("quantize m.onnx -s w8a9 --json");
    expect(JSON.parse(stdout)).toEqual({ error: { code: "usage", message: expect.stringContaining("w8a9") } });
    expect(stderr).toContain("fewbit: unknown scheme");
    expect(JSON.parse((await runCli("quantize --json --nonsense m.onnx")).stdout).error.code).toBe("usage");
  });
});

describe("failures end with code 1 and one line without a stack", () => {
  it("says what a FewbitError says", async () => {
    const inspect = failing(new FewbitError("format", "m.onnx is not an ONNX file\nsecond line"));
    const { code, stderr, stdout } = await runCli("inspect m.onnx", { inspect });
    expect({ code, stderr, stdout }).toEqual({
      code: 1,
      stderr: "fewbit: m.onnx is not an ONNX file second line\n",
      stdout: "",
    });
  });

  it("marks errors of the system and of the program itself", async () => {
    const system = Object.assign(new Error("ENOSPC: no space left on device, write"), {
      code: "ENOSPC",
      syscall: "write",
    });
    const io = await runCli("inspect m.onnx --json", { inspect: failing(system) });
    expect(JSON.parse(io.stdout).error.code).toBe("io");
    const own = await runCli("inspect m.onnx --json", { inspect: failing(new TypeError("x is undefined")) });
    expect(own.code).toBe(1);
    expect(JSON.parse(own.stdout).error.code).toBe("internal");
  });

  it("keeps control characters of hostile names away from the terminal", async () => {
    const inspect = failing(new FewbitError("graph", "node \u001b[2Jevil"));
    expect((await runCli("inspect m.onnx", { inspect })).stderr).not.toContain("\u001b");
  });

  it("ends with code 130 and says that nothing unfinished is left when interrupted", async () => {
    const stop = new AbortController();
    const quantize = async () => {
      stop.abort();
      throw new Error("session was torn down");
    };
    const { code, stderr, calls } = await runCli("quantize m.onnx", { quantize }, fakeIo({ signal: stop.signal }));
    expect({ code, stderr }).toEqual({
      code: 130,
      stderr: "fewbit: interrupted; nothing unfinished was left behind\n",
    });
    expect(calls).toContainEqual(["cleanup", undefined]);
  });
});

describe("quantize", () => {
  it("hands over what was typed", async () => {
    const line =
      "quantize /home/ada/m.onnx -s W8A8,w4 -s w8 -c c.npz --keep op:Softmax --keep node:/a/b --keep ^head -o out " +
      "--data t.npy --labels l.npy --metric top1 --max-drop 1.5 --image size=224x320,mean=0.5,0.4,0.3,std=1 " +
      "--samples 64 --seed 7 --asymmetric --group-size 64 --observer entropy --algorithm mse --threads 2 --engine ort-web";
    const { calls } = await runCli(line);
    const data = { image: { size: [224, 320], mean: [0.5, 0.4, 0.3], std: [1] }, samples: 64, seed: 7 };
    expect(calls[0]).toEqual([
      "quantize",
      {
        model: "/home/ada/m.onnx",
        schemes: ["w8a8", "w4", "w8"],
        calibration: { path: "c.npz", ...data },
        evaluation: { metrics: ["top1"], labels: "l.npy", data: { path: "t.npy", ...data } },
        keep: [
          { kind: "op", name: "Softmax" },
          { kind: "node", name: "/a/b" },
          { kind: "regex", pattern: /^head/ },
        ],
        output: "out",
        maxDrop: 1.5,
        force: false,
        embeddings: false,
        weights: "asymmetric",
        groupSize: 64,
        observer: "entropy",
        algorithm: "mse",
        threads: 2,
        encoders: 2,
        engine: "ort-web",
        command: expect.stringContaining("fewbit quantize m.onnx -s W8A8,w4 -s w8"),
      },
    ]);
  });

  it("prints a table, verdicts and findings, and writes page and JSON beside the models", async () => {
    const { code, stdout, written } = await runCli("quantize m.onnx -s w8a8,w8,w4 -o out");
    expect(code).toBe(0);
    expect([...written.keys()]).toEqual(["out/resnet8.report.html", "out/resnet8.report.json"]);
    expect(stdout).toMatch(/^original +312 kB +- +1\.21 ms/m);
    expect(stdout).toMatch(/^w8a8 +91\.3 kB +3\.42x +0\.708 ms +1\.71x +7\.80 MB +87\.55 % \(-0\.16\)/m);
    expect(stdout).toContain("take w8a8: the fastest");
    expect(stdout).toContain("warning: w4 is slower");
    expect(stdout).toContain("report out/resnet8.report.html");
  });

  it("prints exactly one JSON object with --json, progress on stderr", async () => {
    const { services } = await runCli("");
    const quantize: typeof services.quantize = async (_request, { progress }) => {
      progress.step("calibrating", 2).done("2 samples");
      return sampleReport({ candidates: [sampleCandidate("w8a8", 3.42, 1.71, 0.8755)] });
    };
    const { stdout, stderr } = await runCli("quantize m.onnx --json", { quantize });
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({
      output: "out/resnet8.w8a8.onnx",
      scheme: "w8a8",
      size: { before: 312402, ratio: expect.any(Number) },
      latency: { before: 1.21 },
      memory: { ratio: expect.any(Number) },
      metrics: {
        top1: { before: 0.8771, after: 0.8755 },
        agreement: expect.any(Number),
        cosine: expect.any(Number),
      },
      integerShare: 1,
      kept: [{ op: "Softmax" }],
      findings: [{ severity: "warning", code: "slow-scheme" }],
      seconds: 14.8,
      report: "out/resnet8.w8a8.report.html",
    });
    expect(stderr).toContain("calibrating: 2 samples");
  });

  it("writes no report with --no-report, and one where --report says", async () => {
    expect((await runCli("quantize m.onnx --no-report")).written.size).toBe(0);
    const { written } = await runCli("quantize m.onnx --report here/r.html");
    expect([...written.keys()]).toEqual(["here/r.html", "here/r.json"]);
  });

  it("ends with 3 when no candidate kept the contract, with 1 when none works", async () => {
    const contract = { metric: "top1", maxDrop: 0.01, drop: 0.03, met: false };
    const missed = { ...sampleCandidate("w4", 5, 1, 0.84), contract };
    const broken = { ...missed, findings: [{ severity: "error", code: "nan", message: "output is NaN" } as const] };
    const withCandidates = (...candidates: ReturnType<typeof sampleCandidate>[]) => ({
      quantize: async () => sampleReport({ candidates }),
    });
    expect((await runCli("quantize m.onnx", withCandidates(missed))).code).toBe(3);
    expect((await runCli("quantize m.onnx", withCandidates(missed, sampleCandidate("w8", 3, 1, 0.877)))).code).toBe(0);
    expect((await runCli("quantize m.onnx", withCandidates(broken))).code).toBe(1);
    expect((await runCli("quantize m.onnx", withCandidates())).code).toBe(1);
  });

  it("asks for the plan alone with --dry-run", async () => {
    const { calls, stdout, written } = await runCli("quantize m.onnx -s w4 --dry-run");
    expect(calls.map(([name]) => name)).toEqual(["plan", "cleanup"]);
    expect(stdout).toContain("nothing was written");
    expect(written.size).toBe(0);
  });
});

describe("the other commands", () => {
  it.each([
    "inspect m.onnx",
    "schemes m.onnx",
    "bench a.onnx b.onnx",
    "compare a.onnx b.onnx --data d.npy",
    "convert a.tflite -o a.onnx",
    "demo",
  ])("%s prints text, or one JSON object with --json", async (line) => {
    const plain = await runCli(line);
    expect(plain).toMatchObject({ code: 0, stderr: "" });
    expect(plain.stdout).not.toBe("");
    const json = await runCli(`${line} --json`);
    expect(Object.keys(JSON.parse(json.stdout)).length).toBeGreaterThan(1);
  });

  it("convert asks for a file to write and says what it wrote", async () => {
    expect(await runCli("convert a.tflite")).toMatchObject({ code: 2, calls: [["cleanup", undefined]] });
    const { calls, stdout } = await runCli("convert a.tflite -o a.onnx --data d.npy --samples 9");
    expect(calls[0]).toMatchObject([
      "convert",
      { model: "a.tflite", output: "a.onnx", data: { path: "d.npy", samples: 9 } },
    ]);
    expect(stdout).toMatch(/y +1\.00 +2\.0e-7 +130\.5 dB/);
    expect(stdout).toMatch(/wrote model\.onnx \(900/);
  });

  it("convert hands on what folders are asked for, and knows the types there are", async () => {
    const { calls } = await runCli("convert folder -o a.gguf --type q8_0 --pre qwen2 --dry-run");
    expect(calls[0]).toMatchObject([
      "convert",
      { model: "folder", output: "a.gguf", type: "q8_0", pre: "qwen2", dryRun: true },
    ]);
    expect(await runCli("convert folder -o a.gguf --type q4_k_m")).toMatchObject({ code: 2 });
  });
});
