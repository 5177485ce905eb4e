/**
 * The contract of forms: the shapes a quantized node can take in a file. Each form says which nodes it fits and
 * rewrites one node at a time. The plan step asks `fits`, the quantize step calls `lower`; neither looks at an op's name.
 */
import type { Graph, Model, Node, Tensor } from "../ir/model.ts";
import type { Form, NodePlan } from "../ir/plan.ts";
import type { Scheme } from "../ir/scheme.ts";

/** A node with what is known around it. */
export interface Site {
  readonly model: Model;
  readonly graph: Graph;
  readonly scope: string;
  readonly node: Node;
  /** A constant visible from this graph, its own or of a graph around it. */
  constant(name: string): Tensor | undefined;
  /** How many node inputs in the whole model read this constant. */
  uses(name: string): number;
}

/** The constant input a form would turn into codes. */
export interface WeightFit {
  readonly tensor: string;
  /** Index in `node.inputs`. */
  readonly input: number;
  readonly shape: readonly number[];
  /** Axis of the output channels. */
  readonly axis: number;
}

/** What a lowering may do besides returning nodes. */
export interface LowerContext extends Site {
  /**
   * Adds an initializer to the graph that holds the constant `beside` (this graph without it). A second tensor of the
   * same name is ignored: names derived from a shared weight make it quantized once.
   */
  add(tensor: Tensor, beside?: string): void;
  /** A name nothing uses yet. */
  fresh(wish: string): string;
  /**
   * Tells apart tensors made from one constant in different ways: 0 for the first `key` asked for in this lowering, 1
   * for the second; the same number for the same key.
   */
  variant(constant: Tensor, key: string): number;
  /**
   * Outputs of nodes several rewritten nodes share (the DynamicQuantizeLinear of one activation). `make` runs once per
   * key and graph; its nodes are put in front of the node being lowered.
   */
  once(
    key: string,
    make: () => { readonly nodes: readonly Node[]; readonly outputs: readonly string[] },
  ): readonly string[];
  /** Raises the opset import of a domain to at least `version`. */
  need(domain: string, version: number): void;
}

/** One form: which nodes it fits, what it costs, how it is written. */
export interface FormRow {
  readonly form: Form;
  /** One line for people. */
  readonly summary: string;
  /** The weight the form would quantize in this node, or in words why it can't ("weight is not constant"). */
  fits(site: Site, scheme: Scheme): WeightFit | string;
  /** Bytes of everything stored for this weight after quantization: codes, scales, zero points. */
  storedBytes(fit: WeightFit, scheme: Scheme): number;
  /**
   * The nodes that stand in for `context.node`. New tensors go through `context.add`, lazily computed. Absent where the
   * container's own lowering sees the whole graph.
   */
  lower?(context: LowerContext, plan: NodePlan): readonly Node[];
}
