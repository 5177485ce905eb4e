/** What a name like "w8a8" stands for. */
import type { Form, InputOutput } from "../ir/plan.ts";
import type { Scheme } from "../ir/scheme.ts";

/** One way to store a node's weights; the first step whose form fits a node takes it. */
export interface Step {
  readonly form: Exclude<Form, "qdq" | "integer" | "float16">;
  readonly scheme: Scheme;
  readonly algorithm: string;
  /** Only these ops; all the form fits without. */
  readonly ops?: readonly string[];
  /** Group sizes that can be asked for; nodes that don't take that size keep the granularity of `scheme`. */
  readonly groups?: readonly number[];
  readonly options?: Readonly<Record<string, number | string>>;
}

/** Grids of a static integer graph. */
export interface StaticGrids {
  readonly activations: Scheme;
  readonly weights: Scheme;
  /** How the scales of weights are found. */
  readonly algorithm: string;
  /** Type of the inputs and outputs, where callers may see codes (TFLite). */
  readonly io?: InputOutput;
}

/** One row of the table of schemes. */
export interface NamedScheme {
  readonly name: string;
  readonly summary: string;
  /** Bits of a weight, for sorting and for people. */
  readonly bits: number;
  /** Whole graph in integers, ranges from calibration. */
  readonly static?: StaticGrids;
  readonly steps: readonly Step[];
  /** What is left in float32 becomes float16; inputs and outputs stay float32. */
  readonly float16?: "fewbit" | "transformers.js";
  /** Lowest version of the default operator set the result needs. */
  readonly opset?: number;
  /** File name suffix in a transformers.js folder; only for its own names. */
  readonly suffix?: string;
}
