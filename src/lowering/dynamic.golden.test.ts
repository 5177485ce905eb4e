/** Tensors equal to those of onnxruntime's Python quantizer, byte for byte; digests from scripts/peers/golden-q8.py. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { graphs, nodeLabel } from "../ir/edit.ts";
import type { Model, Tensor } from "../ir/model.ts";
import type { NodePlan } from "../ir/plan.ts";
import { readAll } from "../ir/source.ts";
import { forModel, transformersJsScheme } from "../recipes/transformers-js.ts";
import { constantsOf, lowerContext, loweringState, siteOf } from "./context.ts";
import { CASES } from "./dynamic.case.ts";
import { dynamicForm } from "./dynamic.ts";

interface Golden {
  readonly inputs: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly q8: readonly {
    readonly case: string;
    readonly dtype: "int8" | "uint8";
    readonly perChannel: boolean;
    readonly reduceRange: boolean;
    readonly tensors: Readonly<
      Record<string, { readonly dtype: string; readonly shape: readonly number[]; readonly sha256: string }>
    >;
  }[];
}

const golden = JSON.parse(readFileSync(new URL("../../tests/golden/q8.json", import.meta.url), "utf8")) as Golden;

const digest = async (tensor: Tensor): Promise<string> =>
  createHash("sha256")
    .update(await readAll(tensor.data))
    .digest("hex");

const settingsOf = (entry: Golden["q8"][number]): string =>
  `${entry.dtype}${entry.perChannel ? ", per channel" : ""}${entry.reduceRange ? ", reduced range" : ""}`;

/** Every new tensor of the model with the settings; ops the form refuses stay out. */
function newTensors(model: Model, { dtype, perChannel, reduceRange }: Golden["q8"][number]): Map<string, Tensor> {
  const steps = forModel(transformersJsScheme(dtype), { ops: new Set() }).steps.map((step) => {
    const gather = step.ops?.includes("Gather") === true;
    const matrix = step.ops?.includes("MatMul") === true;
    const per = perChannel && matrix ? ("axis" as const) : ("tensor" as const);
    return gather ? step : { ...step, scheme: { ...step.scheme, granularity: { per }, reduceRange } };
  });
  const state = loweringState(model);
  const constants = constantsOf(model);
  for (const { scope, graph } of graphs(model.graph))
    for (const [index, node] of graph.nodes.entries()) {
      const step = steps.find(({ ops }) => ops?.includes(node.op));
      if (step === undefined) continue;
      const fit = dynamicForm.fits(siteOf(model, constants, graph, scope, node), step.scheme);
      if (typeof fit === "string") continue;
      const weight: NonNullable<NodePlan["weight"]> = { ...fit, ...step, bytes: { before: 0, after: 0 } };
      const plan = { scope, index, node: nodeLabel(node), op: node.op, form: "dynamic" as const, weight };
      dynamicForm.lower!(lowerContext(state, graph, scope, node, new Map(), []), plan);
    }
  return new Map([...state.added.values()].flatMap((tensors) => [...tensors]));
}

describe("the dynamic form writes the tensors of onnxruntime's Python quantizer", () => {
  it.each(Object.keys(CASES))("rebuilds the weights of %s", async (name) => {
    const found: Record<string, string> = {};
    for (const { graph } of graphs(CASES[name]!().graph))
      for (const tensor of graph.tensors.values()) found[tensor.name] = await digest(tensor);
    expect(found).toEqual(golden.inputs[name]);
  });

  /** What the Python tool writes here doesn't run: no kernel for signed convolutions, parameters of a wrong shape. */
  const broken = (entry: Golden["q8"][number]): boolean =>
    (entry.case === "conv" && entry.dtype === "int8") || (entry.case === "matmul-batched" && entry.perChannel);
  const entries = golden.q8.filter((entry) => !broken(entry));
  it.each(entries.map((entry) => [entry.case, settingsOf(entry), entry] as const))(
    "%s: %s",
    async (_case, _settings, entry) => {
      const tensors = newTensors(CASES[entry.case]!(), entry);
      for (const [name, expected] of Object.entries(entry.tensors)) {
        const tensor = tensors.get(name);
        expect(tensor, `${name} is written`).toBeDefined();
        expect({ dtype: tensor!.dtype, shape: tensor!.shape, sha256: await digest(tensor!) }, name).toEqual(expected);
      }
    },
  );

  it("refuses convolutions with signed weights and names the remedy", () => {
    const model = CASES.conv!();
    const site = siteOf(model, constantsOf(model), model.graph, "", model.graph.nodes[0]!);
    const scheme = { dtype: "int8", symmetric: true, granularity: { per: "tensor" } } as const;
    expect(dynamicForm.fits(site, scheme)).toMatch(/no ConvInteger kernel for signed weights.*uint8/);
  });
});
