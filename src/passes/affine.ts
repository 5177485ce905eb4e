/** Nodes that scale and shift every channel of a value by constants. */
import { floatAttribute, intAttribute } from "../ir/attributes.ts";
import type { Node, Tensor } from "../ir/model.ts";
import { readAll } from "../ir/source.ts";
import { decodeDoubles } from "../numeric/convert.ts";
import { elementCount } from "../numeric/dtypes.ts";
import type { FindConstant } from "./values.ts";

/** y = scale * x + shift, one number per channel each; computed when asked for. */
export interface Affine {
  /** Absent: all ones. */
  readonly scale?: () => Promise<Float64Array>;
  readonly shift?: () => Promise<Float64Array>;
}

/** Where the channels of a value are. */
export interface Channels {
  readonly count: number;
  readonly rank: number;
  readonly axis: number;
}

type Rule = (node: Node, source: string, channels: Channels, constant: FindConstant) => Affine | undefined;

const doubles = async (tensor: Tensor): Promise<Float64Array> =>
  decodeDoubles(await readAll(tensor.data), tensor.dtype, elementCount(tensor.shape));

const isFloat = (tensor: Tensor | undefined): tensor is Tensor => tensor?.dtype === "float32";

/** True for [C] along the channel axis after broadcasting, and for a single number of no more dimensions than the value. */
function isPerChannel({ shape }: Tensor, { count, rank, axis }: Channels): boolean {
  if (shape.length > rank) return false;
  const along = shape.length - (rank - axis);
  return shape.every((dim, index) => dim === (index === along ? count : 1) || dim === 1);
}

/** One number per channel. */
const perChannel = (tensor: Tensor, count: number) => async (): Promise<Float64Array> => {
  const values = await doubles(tensor);
  return values.length === 1 ? new Float64Array(count).fill(values[0]!) : values;
};

const mapped = (read: () => Promise<Float64Array>, f: (x: number) => number) => async () => (await read()).map(f);

/** Inference only: the four statistics are constants and nobody asks for new ones. Axis 1 holds the channels. */
const batchNorm: Rule = (node, source, { count, axis }, constant) => {
  const [gamma, beta, mean, variance] = node.inputs.slice(1, 5).map((name) => constant(name));
  const training = intAttribute(node, "training_mode", 0) !== 0 || intAttribute(node, "spatial", 1) !== 1;
  if (training || node.outputs.slice(1).some((name) => name !== "")) return undefined;
  if (axis !== 1 || node.inputs[0] !== source) return undefined;
  if (!isFloat(gamma) || !isFloat(beta) || !isFloat(mean) || !isFloat(variance)) return undefined;
  if ([gamma, beta, mean, variance].some(({ shape }) => shape.length !== 1 || shape[0] !== count)) return undefined;
  const epsilon = floatAttribute(node, "epsilon", 1e-5);
  const scale = async () => {
    const [g, v] = [await doubles(gamma), await doubles(variance)];
    return g.map((x, i) => x / Math.sqrt(v[i]! + epsilon));
  };
  const shift = async () => {
    const [b, m, s] = [await doubles(beta), await doubles(mean), await scale()];
    return b.map((x, i) => x - m[i]! * s[i]!);
  };
  return { scale, shift };
};

/** `make` gets the constant's numbers; the constant must be the second operand unless the op commutes. */
const byConstant =
  (commutes: boolean, make: (read: () => Promise<Float64Array>) => Affine): Rule =>
  (node, source, channels, constant) => {
    const at = node.inputs.indexOf(source);
    const other = constant(node.inputs[1 - at] ?? "");
    if (node.inputs.length !== 2 || (at !== 0 && !commutes)) return undefined;
    if (!isFloat(other) || !isPerChannel(other, channels)) return undefined;
    return make(perChannel(other, channels.count));
  };

const RULES: Readonly<Record<string, Rule>> = {
  BatchNormalization: batchNorm,
  Mul: byConstant(true, (scale) => ({ scale })),
  Div: byConstant(false, (divisor) => ({ scale: mapped(divisor, (x) => 1 / x) })),
  Add: byConstant(true, (shift) => ({ shift })),
  Sub: byConstant(false, (amount) => ({ shift: mapped(amount, (x) => -x) })),
};

/** What `node` does to `source`, when it is such a function of it and of nothing else. */
export function affineOf(node: Node, source: string, channels: Channels, constant: FindConstant): Affine | undefined {
  const rule = node.domain === "" && Object.hasOwn(RULES, node.op) ? RULES[node.op] : undefined;
  return rule?.(node, source, channels, constant);
}
