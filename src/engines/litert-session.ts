/** A session of LiteRT behind the contract. */
import type { Feeds, Graph, NDArray, ValueInfo } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import type { Session } from "./contract.ts";
import { checkedDType, FEEDABLE, isFeedable } from "./feedable.ts";
import { checkFeeds, checkFetches } from "./feeds.ts";
import { anyBatches, batchBytes, batchCount, type Stack, stack } from "./litert-batches.ts";
import { litertFail } from "./litert-errors.ts";
import type { LitertRunner } from "./litert-model.ts";

const byName = (values: readonly ValueInfo[]): ReadonlyMap<string, ValueInfo> =>
  new Map(values.map((value) => [value.name, value]));

const holdable = ({ dtype }: ValueInfo): boolean => dtype !== undefined && isFeedable(dtype);

/** No batch was given: no rows of every output. */
function noRows({ name, dtype, shape }: ValueInfo): NDArray {
  const rest = shape?.slice(1) ?? [];
  if (!dtype || !isFeedable(dtype) || !shape?.length || !rest.every((length) => typeof length === "number"))
    return fail("data", `output "${name}" has no shape for no rows; give at least one`);
  return { dtype, shape: [0, ...(rest as number[])], data: new FEEDABLE[dtype](0) };
}

/** Runs the batches one after the other and collects those outputs that are wanted; constants are in every batch alike. */
function runBatches(runner: LitertRunner, graph: Graph, feeds: Feeds, count: number, wanted: readonly string[]) {
  const stacks = new Map<string, Stack>();
  for (const name of wanted) stacks.set(name, stack(graph.tensors.has(name) ? 1 : count, `output "${name}"`));
  for (let batch = 0; batch < count; batch++) {
    const bytes = graph.inputs.map((input) => batchBytes(feeds[input.name]!, input, batch, count));
    runner.run(bytes, (output, value) => stacks.get(graph.outputs[output]!.name)?.add(value));
  }
  return stacks;
}

/** A value that is input and output. */
const copy = ({ dtype, shape, data }: NDArray): NDArray => ({ dtype, shape, data: data.slice() });

/** The graph of the file, and with the batch that the runner takes. */
export interface SessionGraphs {
  readonly file: Graph;
  readonly run: Graph;
}

/** Without `fetches` a run returns every output that JavaScript can hold. */
export function litertSession(runner: LitertRunner, { file, run: graph }: SessionGraphs, where: string): Session {
  const { inputs } = graph;
  const inputsByName = byName(inputs.map(anyBatches));
  const outputsByName = byName(file.outputs);
  const all = [...outputsByName.values()].filter(holdable).map(({ name }) => name);
  let closed = false;
  return {
    threads: 1,
    inputs: file.inputs,
    outputs: file.outputs,
    async run(feeds, fetches = all) {
      if (closed) fail("engine", `${where}: the session is closed; open the model again`);
      checkFeeds(inputsByName, feeds);
      for (const { name } of inputs) checkedDType(feeds[name]!, `input "${name}"`);
      checkFetches(outputsByName, fetches);
      const count = batchCount(inputs, feeds);
      if (count === 0) return Object.fromEntries(fetches.map((name) => [name, noRows(outputsByName.get(name)!)]));
      try {
        const computed = fetches.filter((name) => !inputsByName.has(name));
        const stacks = runBatches(runner, graph, feeds, count, computed);
        return Object.fromEntries(fetches.map((name) => [name, stacks.get(name)?.result() ?? copy(feeds[name]!)]));
      } catch (cause) {
        return litertFail(where, cause);
      }
    },
    profile: async () => fail("unsupported", `${where}: LiteRT's WebAssembly has no profile`),
    async close() {
      if (closed) return;
      closed = true;
      runner.close();
    },
  };
}
