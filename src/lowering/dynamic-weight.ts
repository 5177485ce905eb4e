/** The three tensors an 8-bit weight becomes: codes, scale, zero point. Computed when they are written, from one read. */

import { graphs } from "../ir/edit.ts";
import type { Model, Tensor } from "../ir/model.ts";
import type { NodePlan } from "../ir/plan.ts";
import type { QParams } from "../ir/scheme.ts";
import { type ByteSource, computedSource, readAll } from "../ir/source.ts";
import { bytesOf, decodeFloats } from "../numeric/convert.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import {
  channelCount,
  channelParams,
  type Grid,
  gridOf,
  type Layout,
  quantize,
  transposeBytes,
} from "./dynamic-codes.ts";
import type { LowerContext } from "./form.ts";
import { givenGrid, givenParams } from "./given.ts";

/** Names of the tensors that hold one quantized weight. */
export interface QuantizedWeight {
  readonly codes: string;
  readonly scale: string;
  readonly zeroPoint: string;
}

export interface WeightRequest {
  readonly weight: NonNullable<NodePlan["weight"]>;
  /** What the new names start with. */
  readonly base: string;
  readonly layout: Layout;
  /** Shape of scale and zero point. */
  readonly paramShape: readonly number[];
  /** Store the codes of a rows x cols matrix as cols x rows. */
  readonly transpose?: boolean;
}

interface Quantizer {
  params(): Promise<QParams>;
  codes(): Promise<Uint8Array>;
}

/** Keeps the scales once they are known, never the weight itself. */
function quantizer(source: ByteSource, request: WeightRequest, grid: Grid): Quantizer {
  const { layout, transpose } = request;
  let known = request.weight.qparams;
  const read = async (): Promise<readonly [Float32Array, QParams]> => {
    const values = decodeFloats(await readAll(source), "float32");
    known ??= channelParams(values, layout, grid);
    return [values, known];
  };
  return {
    params: async () => known ?? (await read())[1],
    async codes() {
      const [values, params] = await read();
      const codes = new Uint8Array(values.length);
      quantize(values, layout, params, grid, grid.low < 0 ? new Int8Array(codes.buffer) : codes);
      return transpose ? transposeBytes(codes, layout.rows, layout.cols) : codes;
    },
  };
}

/** Bytes of codes, scales and zero points. */
export const storedBytes = (elements: number, channels: number): number => elements + channels * (4 + 1);

const namesOf = new WeakMap<Model, ReadonlySet<string>>();

/** Every value and tensor name of a model; collected once per model. */
function usedNames(model: Model): ReadonlySet<string> {
  const known = namesOf.get(model);
  if (known !== undefined) return known;
  const names = new Set<string>();
  for (const { graph } of graphs(model.graph)) {
    for (const { name } of [...graph.inputs, ...graph.outputs]) names.add(name);
    for (const name of graph.tensors.keys()) names.add(name);
    for (const node of graph.nodes) for (const name of node.outputs) names.add(name);
  }
  namesOf.set(model, names);
  return names;
}

/** Names as onnxruntime's Python tool gives them, changed where the model uses one already. */
export function weightNames(context: LowerContext, base: string): QuantizedWeight {
  const taken = usedNames(context.model);
  const free = (wish: string): string => {
    let name = wish;
    for (let i = 1; taken.has(name); i++) name = `${wish}_${i}`;
    return name;
  };
  return { codes: free(`${base}_quantized`), scale: free(`${base}_scale`), zeroPoint: free(`${base}_zero_point`) };
}

/** Adds the tensors beside the float constant; a weight that several nodes share is added once. */
export function addWeight(context: LowerContext, request: WeightRequest): QuantizedWeight {
  const { layout, transpose, paramShape: shape } = request;
  const { tensor: name, scheme, qparams } = request.weight;
  const weight = context.constant(name) ?? fail("graph", `"${name}" is not a constant of the model`);
  if (qparams) givenParams(qparams, scheme, channelCount(layout), `weight "${name}"`);
  const { codes, params } = quantizer(weight.data, request, qparams ? givenGrid(scheme) : gridOf(scheme));
  const names = weightNames(context, request.base);
  const count = elementCount(weight.shape);
  const tensors: readonly Tensor[] = [
    {
      name: names.codes,
      dtype: scheme.dtype,
      shape: transpose ? [layout.cols, layout.rows] : weight.shape,
      data: computedSource(count, codes),
    },
    {
      name: names.scale,
      dtype: "float32",
      shape,
      data: computedSource(4 * channelCount(layout), async () => bytesOf((await params()).scale)),
    },
    {
      name: names.zeroPoint,
      dtype: scheme.dtype,
      shape,
      data: computedSource(channelCount(layout), async () => Uint8Array.from((await params()).zeroPoint)),
    },
  ];
  for (const tensor of tensors) context.add(tensor, name);
  return names;
}
