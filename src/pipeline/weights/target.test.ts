/** Files of a given size: what is chosen, what is kept, and that no byte is too many. */
import { describe, expect, test } from "vitest";
import { encodeGguf } from "../../containers/gguf/index.ts";
import { bytesSource, collect } from "../../ir/source.ts";
import type { StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { bytesOf } from "../../numeric/convert.ts";
import { errorWeights } from "../../recipes/ggml/index.ts";
import { type MeasuredErrors, sampledRows } from "./errors.ts";
import { formatErrors, parseErrors } from "./errors-json.ts";
import { importanceFor, MODELS } from "./models.case.ts";
import { formatOf, planWeights, type WeightsPlan } from "./plan.ts";
import { quantizeWeights } from "./quantize.ts";
import { type PlanTargetOptions, planTarget } from "./target.ts";

const model = MODELS.shared!;
const noArchitecture: TensorFile = { ...model, metadata: new Map() };

/** What was measured while a size was planned. */
async function measuredOf(file: TensorFile, options: PlanTargetOptions = {}): Promise<Map<string, MeasuredErrors>> {
  const found = new Map<string, MeasuredErrors>();
  await planTarget(file, { bitsPerWeight: 8 }, { ...options, onMeasured: (name, each) => void found.set(name, each) });
  return found;
}

/** The sum that a target makes least, of any plan. */
function weighedError(
  file: TensorFile,
  { tensors }: WeightsPlan,
  measured: ReadonlyMap<string, MeasuredErrors>,
): number {
  const weightOf = errorWeights(tensors);
  return tensors.reduce((sum, { name, format }) => {
    const found = measured.get(name);
    const type = format ?? formatOf(file.tensors.get(name)!);
    return found === undefined ? sum : sum + weightOf({ name }) * found.errors[type]!;
  }, 0);
}

/** The model with other values in one tensor. */
function changed(name: string, values: Float32Array): TensorFile {
  const old = MODELS.plain!.tensors.get(name)!;
  const tensor: StoredTensor = { ...old, data: bytesSource(bytesOf(values)) };
  return { ...MODELS.plain!, tensors: new Map([...MODELS.plain!.tensors, [name, tensor]]) };
}

describe("the size", () => {
  test.each([5.5, 6, 7.25, 9, 20])("of %d bits for each weight is not passed, and nearly used", async (bits) => {
    const plan = await planTarget(model, { bitsPerWeight: bits });
    expect(plan.size).toBeLessThanOrEqual(plan.target);
    // the smallest step of the smallest matrix is 40 bytes; a model of f16 can't grow beyond its 17 bits
    if (bits < 16) expect(plan.target - plan.size).toBeLessThan(512);
  });

  test("that was planned is that of the file", async () => {
    const plan = await planTarget(model, { bytes: 30_000 });
    const { file } = await quantizeWeights(model, plan);
    const bytes = await collect(encodeGguf(file)[0]!);
    expect([bytes.length, bytes.length <= 30_000]).toEqual([plan.size, true]);
  });

  test("counts the headers of all files where there are several", async () => {
    const plan = await planTarget(model, { bytes: 34_000 }, { maxBytes: 8_000 });
    const { file } = await quantizeWeights(model, plan);
    const files = encodeGguf(file, { maxBytes: 8_000 });
    expect(files.length).toBeGreaterThan(3);
    expect(files.reduce((sum, { size }) => sum + size, 0)).toBe(plan.size);
    expect(plan.size).toBeLessThanOrEqual(34_000);
  });

  test("below the smallest one is refused with it, and that one can be had", async () => {
    const error: Error = await planTarget(model, { bytes: 1000 }).catch((thrown) => thrown);
    const [, smallest] = /the smallest has (\d+) bytes, \d\.\d+ bits for each weight; give an importance matrix/.exec(
      error.message,
    )!;
    expect((await planTarget(model, { bytes: Number(smallest) })).size).toBe(Number(smallest));
    await expect(planTarget(model, { bytes: Number(smallest) - 1 })).rejects.toThrow("can't be made");
  });

  test.each([{ bytes: 0 }, { bytes: Number.NaN }, { bitsPerWeight: -4 }, { bitsPerWeight: 1e9 }])(
    "%o is refused",
    async (target) => {
      await expect(planTarget(model, target)).rejects.toThrow("expected more than 0");
    },
  );

  test("beyond that of the model leaves it as it is", async () => {
    const { tensors, error } = await planTarget(model, { bytes: 1e9 });
    expect(tensors.every(({ from, to }) => from === to)).toBe(true);
    expect(error).toBe(0);
  });
});

describe("the types", () => {
  test.each(["q6_k", "q4_k_m", "iq4_xs", "q3_k_m"] as const)(
    "have less error than those of %s at its size",
    async (name) => {
      const file = MODELS.plain!;
      const mix = planWeights(file, name);
      const measured = await measuredOf(file, {
        types: ["q8_0", "q6_k", "q5_k", "q4_k", "q4_0", "iq4_xs", "q3_k", "q2_k"],
      });
      const plan = await planTarget(file, { bytes: mix.size }, { measured });
      const known = await measuredOf(file, { measured });
      expect(weighedError(file, plan, known)).toBeLessThan(weighedError(file, mix, new Map([...measured, ...known])));
      expect(plan.bound).toBeLessThanOrEqual(plan.error);
    },
  );

  test("are those that overrides and rules to keep ask for", async () => {
    const overrides = [{ pattern: /ffn_down/, type: "q8_0" as const }];
    const { tensors } = await planTarget(model, { bitsPerWeight: 8 }, { overrides, keep: [/attn_v/] });
    for (const { name, from, to } of tensors) {
      if (name.includes("ffn_down")) expect(to).toBe("q8_0");
      if (name.includes("attn_v") || name.includes("norm")) expect(to).toBe(from);
    }
    await expect(planTarget(model, { bitsPerWeight: 8 }, { keep: [/nope/] })).rejects.toThrow("--keep nope matches no");
    await expect(planTarget(model, { bitsPerWeight: 8 }, { pure: true })).rejects.toThrow("--pure");
  });

  test("are of those allowed, and small blocks where rows fit none of them", async () => {
    const { tensors } = await planTarget(MODELS.short!, { bitsPerWeight: 8 }, { types: ["q4_k", "q6_k"] });
    const matrices = tensors.filter(({ from, to }) => from !== to);
    expect(new Set(matrices.filter(({ shape }) => shape.at(-1) === 256).map(({ to }) => to))).toEqual(
      new Set(["q4_k", "q6_k"]),
    );
    for (const { to } of matrices.filter(({ shape }) => shape.at(-1) === 160))
      expect(to).toMatch(/^(q\d_[01]|iq4_nl|float16)$/);
  });

  test("that need importance are for tensors that have some", async () => {
    const importance = { path: "imatrix.gguf", matrix: importanceFor(model, 1) };
    const plan = await planTarget(model, { bitsPerWeight: 4.9 }, { importance });
    const tiny = plan.tensors.filter(({ to }) => /^iq[12]|^iq3_xxs/.test(to)).map(({ name }) => name);
    expect(tiny.length).toBeGreaterThan(3);
    expect(tiny.filter((name) => !importance.matrix.entries.has(name) && !name.startsWith("token_embd"))).toEqual([]);
    const { file } = await quantizeWeights(model, plan, { importance });
    await expect(collect(encodeGguf(file)[0]!)).resolves.toHaveLength(plan.size);
  });

  test("lose least where tokens become values and back, which count as much as all layers", async () => {
    const { tensors } = await planTarget(MODELS.plain!, { bitsPerWeight: 6.5 });
    const bytes = (wanted: string) => tensors.find(({ name }) => name === wanted)!.after / 1024;
    const layers = tensors.filter(({ name, shape }) => name.startsWith("blk.") && shape.length > 1);
    const most = Math.max(...layers.map(({ after }) => after / 512));
    expect(bytes("output.weight")).toBeGreaterThan(most);
    expect(bytes("token_embd.weight")).toBeGreaterThanOrEqual(most);
    const weightOf = errorWeights(tensors);
    expect([weightOf({ name: "output.weight" }), weightOf({ name: "token_embd.weight" })]).toEqual([
      (3 * layers.length) / 4,
      layers.length / 4,
    ]);
    expect(errorWeights(layers)({ name: "token_embd.weight" })).toBe(layers.length);
  });

  test("stay where tensors are quantized already, unless that is allowed", async () => {
    const { file } = await quantizeWeights(model, planWeights(model, "q8_0"));
    const written = encodeGguf(file)[0]!.size;
    expect((await planTarget(file, { bytes: written })).tensors.every(({ from, to }) => from === to)).toBe(true);
    await expect(planTarget(file, { bytes: written - 1000 })).rejects.toThrow("allow --requantize");
    const smaller = await planTarget(file, { bytes: written - 1000 }, { requantize: true });
    expect(smaller.size).toBeLessThanOrEqual(written - 1000);
  });

  test("do not need to know the architecture, and name the file after the most frequent one", async () => {
    const plan = await planTarget(noArchitecture, { bitsPerWeight: 6.6 }, { types: ["q4_k", "q5_k"] });
    const fives = plan.tensors.filter(({ to }) => to === "q5_k").length;
    const fours = plan.tensors.filter(({ to }) => to === "q4_k").length;
    expect(plan.fileType).toBe(fives > fours ? "q5_k_m" : "q4_k_m");
    expect(plan.metadata.get("general.file_type")?.value).toBe(fives > fours ? 17 : 15);
  });
});

describe("what was measured", () => {
  test("is used again for the same weights, and measured anew for others", async () => {
    const name = "blk.2.attn_v.weight";
    const file = changed(name, new Float32Array(512).fill(0.5));
    const measured = await measuredOf(file);
    const lies = new Map([...measured].map(([key, each]) => [key, { ...each, errors: { ...each.errors, q2_k: 0 } }]));
    const again = await planTarget(file, { bitsPerWeight: 12 }, { measured: lies });
    expect(again.tensors.find((each) => each.name === name)?.to).toBe("q2_k");
    const other = changed(
      name,
      Float32Array.from({ length: 512 }, (_, i) => Math.sin(i * i)),
    );
    const anew = await measuredOf(other, { measured: lies });
    expect(anew.get(name)?.errors.q2_k).toBeGreaterThan(0.001);
    expect(anew.get("blk.3.attn_v.weight")?.errors.q2_k).toBe(0);
  });

  test("comes back from JSON, and other JSON is refused", async () => {
    const measured = await measuredOf(MODELS.short!);
    expect(parseErrors(formatErrors(measured))).toEqual(measured);
    const text = (value: unknown) => JSON.stringify(value);
    const kind = "fewbit weight errors";
    expect(() => parseErrors("{")).toThrow("not JSON");
    expect(() => parseErrors(text({ kind: "stats", tensors: {} }))).toThrow('"kind": "fewbit weight errors"');
    expect(() => parseErrors(text({ kind, tensors: { a: 3 } }))).toThrow('"a" is not an object');
    expect(() => parseErrors(text({ kind, tensors: { a: { digest: "", errors: { q9: 1 } } } }))).toThrow(
      "a type of ggml",
    );
    expect(() => parseErrors(text({ kind, tensors: { a: { digest: "", errors: { q4_k: -1 } } } }))).toThrow(
      "from 0 up",
    );
  });

  test("are rows spread over the tensor, other ones for another seed", () => {
    const rows = sampledRows(100_000, 4096, 1);
    expect(rows).toHaveLength(32);
    rows.forEach((row, i) => {
      expect(Math.floor((row * 32) / 100_000)).toBe(i);
    });
    expect(sampledRows(100_000, 4096, 2)).not.toEqual(rows);
    expect(sampledRows(5, 1 << 20, 1)).toEqual([0, 1, 2, 3, 4]);
  });

  test("NaN in a row that is measured is refused by tensor and index", async () => {
    const file = changed("blk.5.ffn_up.weight", new Float32Array(512).fill(Number.NaN, 300, 301));
    await expect(planTarget(file, { bitsPerWeight: 8 })).rejects.toThrow(
      'tensor "blk.5.ffn_up.weight": the value at index 300 is NaN',
    );
  });
});
