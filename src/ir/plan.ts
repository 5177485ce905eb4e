/** What will become what, decided before anything is touched. Plain data: printed by `--dry-run`, saved in the report. */
import type { QParams, Scheme } from "./scheme.ts";

/** The shape a quantized node takes in the file. Each has one lowering. */
export type Form =
  | "qdq" // QuantizeLinear / DequantizeLinear around every value, int32 biases
  | "dynamic" // DynamicQuantizeLinear + MatMulInteger / ConvInteger
  | "nbits" // com.microsoft MatMulNBits
  | "bnb4" // com.microsoft MatMulBnb4
  | "gather" // com.microsoft GatherBlockQuantized
  | "dq" // int8, int4 or int2 weights in the file, decoded to float when the engine loads the model
  | "float16" // IEEE half precision
  | "integer" // TFLite: values and weights of integer types that say what their codes stand for
  | "hybrid" // TFLite: weights as codes, activations quantized by the kernel in each run
  | "dequantize"; // TFLite: codes or halves in the file, a DEQUANTIZE in front of the float kernel

/** `scope` names a graph: "" is the main one, "loop_1.body" a sub-graph (node name or index, attribute name). */
export interface Place {
  readonly scope: string;
  /** Index of the node in its graph, and its name or, without one, its first output. */
  readonly index: number;
  readonly node: string;
  readonly op: string;
}

/** One node that will run on quantized weights (or wholly in integers). */
export interface NodePlan extends Place {
  readonly form: Form;
  /** Settings of the form: `accuracy_level` of MatMulNBits, naming rules of a contract. */
  readonly options?: Readonly<Record<string, number | string>>;
  /** The constant that becomes codes; absent for ops without weights in a static plan (Add, Concat, ...). */
  readonly weight?: {
    readonly tensor: string;
    readonly input: number;
    readonly shape: readonly number[];
    /** Axis of the output channels. */
    readonly axis: number;
    readonly scheme: Scheme;
    readonly algorithm: string;
    /**
     * Scales and zero points that are given instead of searched (trained step sizes, a model's own): one per tensor, per
     * index of `axis`, or per group in row-major order as the form stores them. Codes are rounded half to even on them.
     */
    readonly qparams?: QParams;
    readonly bytes: { readonly before: number; readonly after: number };
  };
}

/** A value (activation) that gets a static scale and zero point. */
export interface ValuePlan {
  readonly scope: string;
  readonly value: string;
  readonly scheme: Scheme;
  readonly observer: string;
  /** Known from the op (Softmax is in [0, 1]); no calibration needed. */
  readonly range?: readonly [number, number];
  /** Codes of a constant operand: its range is that of its elements. */
  readonly constant?: true;
  /** Given instead of observed: goes before `range` and `observer`. */
  readonly qparams?: { readonly scale: number; readonly zeroPoint: number };
  /** Float nodes read the rounded value too, as they did in the model that the grid came with. */
  readonly everywhere?: boolean;
  /** Takes scale and zero point of this other value (MaxPool, Reshape, Concat, ...). */
  readonly sameAs?: string;
}

/** A node that stays as it is, and why. `byUser` when the request said so. */
export interface Kept extends Place {
  readonly reason: string;
  readonly byUser?: boolean;
}

/** Types of a TFLite model's inputs and outputs (TFLiteConverter inference_input_type). */
export type InputOutput = "float32" | "int8" | "uint8" | "int16";

/** All that was decided for one model. */
export interface Plan {
  /** Name of the scheme asked for: "w8a8", "q4", ... */
  readonly scheme: string;
  readonly nodes: readonly NodePlan[];
  readonly values: readonly ValuePlan[];
  readonly kept: readonly Kept[];
  readonly notes: readonly string[];
  /** Type that the model's inputs and outputs have in a static TFLite graph; float32 unless told. */
  readonly io?: InputOutput;
  /** What stays float32 after all of this becomes float16, by this rule book. */
  readonly float16?: "fewbit" | "transformers.js";
  readonly bytes: { readonly before: number; readonly after: number };
}
