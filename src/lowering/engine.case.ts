/** Runs models made in tests on the real engine. */
import { encodeOnnx } from "../containers/onnx/index.ts";
import type { Engine } from "../engines/contract.ts";
import { openOrtNode } from "../engines/ort-node.ts";
import { openOrtWeb } from "../engines/ort-web.ts";
import { graphs, mapGraphs, nodeLabel, reads, withGraph, withTensors } from "../ir/edit.ts";
import type { Feeds, Model, NDArray } from "../ir/model.ts";
import type { NodePlan } from "../ir/plan.ts";
import { tempScratch } from "../node/scratch.ts";
import type { Step } from "../recipes/named-scheme.ts";
import { constantsOf, siteOf } from "./context.ts";
import { FORMS, lowerNodes } from "./index.ts";

const opened = async (found: ReturnType<typeof openOrtNode>): Promise<Engine> => {
  const { engine, reason } = await found;
  if (engine === undefined) throw new Error(reason);
  return engine;
};

export const nativeEngine = (): Promise<Engine> => opened(openOrtNode({ scratch: tempScratch }));
export const wasmEngine = (): Promise<Engine> => opened(openOrtWeb());

/** The model in one file. */
export async function bytesOf(model: Model): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of encodeOnnx(model).main.chunks()) chunks.push(chunk.slice());
  return new Uint8Array(Buffer.concat(chunks));
}

export type Outputs = Readonly<Record<string, NDArray>>;

export async function run(engine: Engine, model: Model, feeds: Feeds): Promise<Outputs> {
  const session = await engine.open({ bytes: await bytesOf(model) });
  try {
    return await session.run(feeds);
  } finally {
    await session.close();
  }
}

/** Signal to noise ratio in dB over all outputs; infinite where they are equal. */
export function sqnr(exact: Outputs, other: Outputs): number {
  let signal = 0;
  let noise = 0;
  for (const [name, { data }] of Object.entries(exact))
    for (let i = 0; i < data.length; i++) {
      const value = Number(data[i]);
      signal += value ** 2;
      noise += (value - Number(other[name]!.data[i])) ** 2;
    }
  return 10 * Math.log10(signal / noise);
}

/** Constants that no node of their graph or inside it reads are gone. */
export const withoutUnused = (model: Model): Model =>
  withGraph(
    model,
    mapGraphs(model.graph, (graph) => {
      const used = new Set([...graph.nodes.flatMap(reads), ...graph.outputs.map(({ name }) => name)]);
      const unused = [...graph.tensors.keys()].filter((name) => !used.has(name));
      return unused.length === 0 ? graph : withTensors(graph, [], unused);
    }),
  );

/** Lowers every node that one of the steps fits, as the plan step would. */
export function lowered(model: Model, steps: readonly Step[]): Model {
  const constants = constantsOf(model);
  const nodes: NodePlan[] = [];
  for (const { scope, graph } of graphs(model.graph))
    for (const [index, node] of graph.nodes.entries())
      for (const step of steps) {
        if (step.ops?.includes(node.op) === false) continue;
        const fit = FORMS[step.form]!.fits(siteOf(model, constants, graph, scope, node), step.scheme);
        if (typeof fit === "string") continue;
        const weight = { ...fit, scheme: step.scheme, algorithm: step.algorithm, bytes: { before: 0, after: 0 } };
        nodes.push({ scope, index, node: nodeLabel(node), op: node.op, form: step.form, weight });
        break;
      }
  const plan = { scheme: "test", nodes, values: [], kept: [], notes: [], bytes: { before: 0, after: 0 } };
  return withoutUnused(lowerNodes(model, plan));
}
