/** How many axes the first output of an op has, for ops whose lengths do not always follow from what is known. */
import { intAttribute, intsAttribute } from "../ir/attributes.ts";
import type { Node } from "../ir/model.ts";
import type { Known } from "./types.ts";

type Inputs = readonly Known[];
type Infer = (inputs: Inputs, node: Node) => number | undefined;

const SAME_RANK = ["Concat", "Conv", "ConvTranspose", "MaxPool", "AveragePool", "Pad", "Tile"];
const REDUCING = ["Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare"];

const always =
  (rank: number): Infer =>
  () =>
    rank;

const first: Infer = (inputs) => inputs[0]?.rank;

/** Length of a list that is an attribute, or from operator set 13 or 18 on an input. */
const listLength = (inputs: Inputs, node: Node): number | undefined =>
  intsAttribute(node, "axes")?.length ?? inputs[1]?.shape?.[0];

const shifted =
  (sign: 1 | -1): Infer =>
  (inputs, node) => {
    const [rank, count] = [inputs[0]?.rank, listLength(inputs, node)];
    return rank === undefined || count === undefined ? undefined : rank + sign * count;
  };

/** Without axes all are reduced, or none where the node says so. */
const reduced: Infer = (inputs, node) => {
  if (intAttribute(node, "keepdims", 1) !== 0) return inputs[0]?.rank;
  const none =
    (node.inputs[1] ?? "") === "" ? (intsAttribute(node, "axes")?.length ?? 0) === 0 : inputs[1]?.shape?.[0] === 0;
  if (!none) return shifted(-1)(inputs, node);
  return intAttribute(node, "noop_with_empty_axes", 0) !== 0 ? inputs[0]?.rank : 0;
};

const expanded: Infer = ([data, target]) => {
  const length = target?.shape?.[0];
  return data?.rank === undefined || length === undefined ? undefined : Math.max(data.rank, length);
};

/** Rules by op; what they give is only asked for where the shape rule of the op gives nothing. */
export const RANK_OF: ReadonlyMap<string, Infer> = new Map<string, Infer>([
  ...SAME_RANK.map((op) => [op, first] as const),
  ...REDUCING.map((name) => [`Reduce${name}`, reduced] as const),
  ...["Gemm", "Flatten"].map((op) => [op, always(2)] as const),
  ["Shape", always(1)],
  ["Reshape", (inputs) => inputs[1]?.shape?.[0]],
  ["Unsqueeze", shifted(1)],
  ["Squeeze", shifted(-1)],
  ["Expand", expanded],
]);
