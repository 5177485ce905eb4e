/**
 * A BatchNormalization that nothing before it could take (behind Concat or a sum: DenseNet, ResNet v2) becomes a depthwise
 * convolution of 1x1, which runs in integers; one weight a channel is exact on a scale of its own, whatever its bits.
 */
import { node as makeNode } from "../ir/build.ts";
import { freshNames, withGraph, withTensors } from "../ir/edit.ts";
import type { Graph, Node, Tensor } from "../ir/model.ts";
import { computedSource } from "../ir/source.ts";
import { bytesOf } from "../numeric/convert.ts";
import { type Affine, affineOf } from "./affine.ts";
import { IMAGE_RANK, type ImageShape, imageShapes } from "./image-shape.ts";
import type { Pass, PassContext } from "./pass.ts";
import { constantsIn } from "./values.ts";

export const normToConv: Pass = {
  name: "norm-to-conv",
  summary: "write batch normalizations that are left as depthwise convolutions, which run in integers",
  apply: (model, context) => withGraph(model, rewrite(model.graph, context)),
};

function rewrite(graph: Graph, context: PassContext): Graph {
  const constant = constantsIn(graph);
  const shapeOf = imageShapes(graph, context);
  const fresh = freshNames(graph);
  const tensors: Tensor[] = [];
  const nodes = graph.nodes.map((node) => {
    const image = node.op === "BatchNormalization" ? shapeOf(node.inputs[0]!) : undefined;
    if (image?.rank !== IMAGE_RANK) return node;
    const affine = affineOf(node, node.inputs[0]!, { count: image.channels, rank: IMAGE_RANK, axis: 1 }, constant);
    if (affine === undefined) return node;
    const [weight, bias] = [fresh(`${node.outputs[0]}_weight`), fresh(`${node.outputs[0]}_bias`)];
    tensors.push(...parameters(affine, image, weight, bias));
    return convolution(node, [weight, bias], image);
  });
  return tensors.length === 0 ? graph : withTensors({ ...graph, nodes }, tensors);
}

function parameters({ scale, shift }: Affine, { channels }: ImageShape, weight: string, bias: string): Tensor[] {
  const floats = (name: string, shape: readonly number[], read: () => Promise<Float64Array>): Tensor => ({
    ...{ name, dtype: "float32", shape },
    data: computedSource(4 * channels, async () => bytesOf(Float32Array.from(await read()))),
  });
  return [floats(weight, [channels, 1, 1, 1], scale!), floats(bias, [channels], shift!)];
}

const convolution = ({ name, inputs, outputs }: Node, constants: readonly string[], { channels }: ImageShape): Node =>
  makeNode("Conv", [inputs[0]!, ...constants], outputs, {
    ...{ name, attributes: { group: channels, kernel_shape: [1, 1] } },
  });
