/** A language model of the llama family (Touvron et al., arXiv:2302.13971) out of layers. */
import { valueInfo } from "../../ir/build.ts";
import { dropout, silu } from "./activations.ts";
import { attention } from "./attention.ts";
import { type Build, type Built, buildModel, type Layer } from "./building.ts";
import { named, residual, sequential } from "./combine.ts";
import { dense, gated } from "./dense.ts";
import { lecun, normal, scaled } from "./init.ts";
import { rmsNorm } from "./norm.ts";

/** Sizes and settings of the model. */
export interface LlamaOptions {
  readonly vocabulary: number;
  readonly width: number;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly base?: number;
  readonly epsilon?: number;
  /** The table of tokens is the last matrix too. */
  readonly tied?: boolean;
  /** Share of elements dropped behind the embedding and behind each branch; none by default. */
  readonly dropout?: number;
  /** Length of a sequence; open by default. */
  readonly context?: number;
  readonly seed?: number;
}

/** Standard deviation of the table of tokens, as in GPT-2. */
const DEVIATION = 0.02;

/** What branches add starts small, so that the sum of all does not grow with their number (GPT-2). */
function blockLayers(options: LlamaOptions, drop: readonly Layer[]): Layer {
  const { hidden, layers, heads, kvHeads, headDim, base = 10_000, epsilon = 1e-5 } = options;
  const last = scaled(lecun, 1 / Math.sqrt(2 * layers));
  const look = attention({
    ...{ heads, kvHeads, headDim, causal: true, rotary: { base }, init: lecun, outputInit: last },
  });
  const think = gated(hidden, silu, lecun, last);
  return sequential(
    residual(sequential(rmsNorm({ epsilon }), look, ...drop)),
    residual(sequential(rmsNorm({ epsilon }), think, ...drop)),
  );
}

/** The table of tokens and its rows for a batch. */
function embedded(build: Build, ids: string, { vocabulary, width }: LlamaOptions): readonly [string, string] {
  const table = build.weight("embedding.weight", [vocabulary, width], normal(DEVIATION));
  return [table, build.emit("Gather", [table, ids], { axis: 0 })];
}

/** Inputs `ids` int64 [batch, time]; output `logits` float32 [batch, time, vocabulary] for the token after each. */
export function llama(options: LlamaOptions): Built {
  const { layers, tied = false, vocabulary, context = "time", epsilon = 1e-5, seed = 0 } = options;
  const drop = options.dropout ? [dropout(options.dropout)] : [];
  const inputs = [valueInfo("ids", "int64", ["batch", context])];
  return buildModel({ inputs, outputs: ["logits"], seed, name: "llama" }, (build, ids = "") => {
    const [table, rows] = embedded(build, ids, options);
    const blocks = Array.from({ length: layers }, (_, at) => named(`block.${at}`, blockLayers(options, drop)));
    const end = sequential(...drop, ...blocks, named("final", rmsNorm({ epsilon })))(build, rows);
    if (tied) return build.emit("MatMul", [end, build.emit("Transpose", [table], { perm: [1, 0] })]);
    return dense(vocabulary, { bias: false, init: normal(DEVIATION) })(build.inside("head"), end);
  });
}
