/** Where a training step stopped being made of numbers: the first value, in the order of the graph, that is not finite. */
import { valueInfo } from "../../ir/build.ts";
import { nodeLabel, withGraph } from "../../ir/edit.ts";
import type { Feeds, Graph, Model, NDArray, Node } from "../../ir/model.ts";
import { floatsOf } from "../../numeric/convert.ts";
import { DTYPES } from "../../numeric/dtypes.ts";
import { ELEMENTS, startWriting, writerFor, written } from "../../train/writer.ts";
import type { Host } from "../host.ts";

interface Probed {
  readonly model: Model;
  /** Value -> the output that is 0 where it is finite, NaN where not. */
  readonly flags: ReadonlyMap<string, string>;
}

/** The model with one number for each float value: x * 0 is NaN for everything that is not finite. */
function probed(model: Model): Probed {
  const writing = startWriting(model.graph, "probe");
  const writer = writerFor(writing, "probe");
  const values = model.graph.nodes.flatMap(({ outputs }) => outputs).filter((name) => name !== "");
  const floats = values.filter((name) => ELEMENTS.has(writing.types.get(name)?.dtype));
  const flags = new Map(
    floats.map((name) => {
      const zeros = writer.emit("Mul", [name, writer.scalar(0, writer.dtype(name))]);
      return [name, writer.emit("ReduceSum", [zeros], { keepdims: 0 })];
    }),
  );
  const outputs = [...flags].map(([name, flag]) => valueInfo(flag, writer.dtype(name), []));
  return { model: withGraph(model, { ...written(writing), outputs }), flags };
}

const isFloat = ({ dtype }: NDArray): boolean => DTYPES[dtype].kind === "float";

const badInput = (feeds: Feeds): string | undefined =>
  Object.keys(feeds).find(
    (name) => isFloat(feeds[name]!) && !floatsOf(feeds[name]!.data, feeds[name]!.dtype).every(Number.isFinite),
  );

const describe = (graph: Graph, name: string): string => {
  const node = graph.nodes.find(({ outputs }) => outputs.includes(name)) as Node;
  const backward = /^(grad|step)\//.test(node.name);
  return `"${name}" of node "${nodeLabel(node)}" (${node.op})${backward ? ", in the backward pass" : ""}`;
};

/**
 * Runs a step's model once more, without optimizations of the engine, and says in words which value was the first that is
 * not finite: an input, or what a node made. Undefined when all of them are finite this time.
 */
export async function firstNonFinite(
  host: Pick<Host, "engine" | "stage">,
  model: Model,
  feeds: Feeds,
): Promise<string | undefined> {
  const input = badInput(feeds);
  if (input !== undefined) return `input "${input}"`;
  const { model: probe, flags } = probed(model);
  await using staged = await host.stage(probe, "probe.onnx", "scratch");
  const session = await host.engine.open(staged.place, { optimize: "none" });
  try {
    const found = await session.run(feeds);
    const bad = [...flags].find(([, flag]) => !Number.isFinite(found[flag]!.data[0]));
    return bad && describe(model.graph, bad[0]);
  } finally {
    await session.close();
  }
}
