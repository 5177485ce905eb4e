/** Which share of a model's arithmetic an engine does in integers. */
import { graphs } from "../ir/edit.ts";
import type { Model } from "../ir/model.ts";
import type { Arithmetic, OpHistogram } from "./contract.ts";
import { ortArithmetic } from "./ort-ops.ts";
import { tally } from "./tally.ts";
import { tfliteArithmetic } from "./tflite-histogram.ts";

/** How each family of engines names its ops; no name belongs to two of them. */
const FAMILIES: readonly ((op: string) => Arithmetic | undefined)[] = [ortArithmetic, tfliteArithmetic];

function arithmeticOf(op: string): Arithmetic | undefined {
  for (const family of FAMILIES) {
    const found = family(op);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Numbers of heavy nodes by arithmetic, and the share of those in integers (0 when there are no heavy nodes). */
export interface ComputeShare {
  readonly integer: number;
  /** MatMulNBits belongs here: with accuracy_level 4 it multiplies in 8-bit integers, below that in floats. */
  readonly codes: number;
  readonly float: number;
  readonly share: number;
}

export function computeShare(histogram: OpHistogram): ComputeShare {
  const count = { integer: 0, codes: 0, float: 0 };
  for (const [op, nodes] of Object.entries(histogram)) {
    const arithmetic = arithmeticOf(op);
    if (arithmetic) count[arithmetic] += nodes;
  }
  const heavy = count.integer + count.codes + count.float;
  return { ...count, share: heavy === 0 ? 0 : count.integer / heavy };
}

/** Nodes of a model by op name, those of sub-graphs included. */
export const countOps = (model: Model): OpHistogram =>
  tally([...graphs(model.graph)].flatMap(({ graph }) => graph.nodes.map((node) => node.op)));
