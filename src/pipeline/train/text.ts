/** Language models: tokens as samples to train on, and perplexity. */
import type { TrainingData } from "../../containers/training-data.ts";
import type { Session } from "../../engines/contract.ts";
import type { NDArray } from "../../ir/model.ts";
import { fail } from "../../numeric/errors.ts";
import { rng } from "../../numeric/rng.ts";
import { surprise } from "../../numeric/token-metrics.ts";

/** How a long row of tokens becomes samples. */
export interface WindowsOptions {
  /** Tokens a sample shows; the next ones are its labels. */
  readonly context: number;
  /** Samples in all; they begin anywhere, so none comes twice where the text is long enough. */
  readonly count: number;
  readonly seed: number;
}

const int64 = (rows: readonly Int32Array[], shape: readonly number[]): NDArray => {
  const data = new BigInt64Array(shape.reduce((a, b) => a * b, 1));
  for (const [at, row] of rows.entries())
    for (let i = 0; i < row.length; i++) data[at * row.length + i] = BigInt(row[i]!);
  return { dtype: "int64", shape, data };
};

/** Samples of inputs `ids` and `labels`, int64 [rows, context]; a label is the token after the one it belongs to. */
const rowsAt = (tokens: Int32Array, starts: readonly number[], context: number) => {
  const part = (shift: number) => starts.map((start) => tokens.subarray(start + shift, start + shift + context));
  const shape = [starts.length, context];
  return { ids: int64(part(0), shape), labels: int64(part(1), shape) };
};

/** Windows at random places of a text. */
export function windowsData(tokens: Int32Array, { context, count, seed }: WindowsOptions): TrainingData {
  if (tokens.length <= context)
    fail("data", `training data: ${tokens.length} tokens, expected more than the ${context} of one sample`);
  const last = tokens.length - context - 1;
  const startOf = (index: number): number => rng(Math.imul(seed + 1, 0x9e3779b1) + index).integer(0, last);
  return { length: count, rows: async (indices) => rowsAt(tokens, indices.map(startOf), context) };
}

/** How surprised a model is by a text. */
export interface Surprise {
  /** Sum of -ln p over all tokens but the first. */
  readonly nats: number;
  /** How many tokens that are. */
  readonly tokens: number;
  /** exp(nats / tokens) */
  readonly perplexity: number;
}

/** -ln p of the labels, from logits [rows, context, vocabulary]; sums in double precision. */
function natsOf(logits: Float32Array, labels: BigInt64Array, width: number): number {
  let nats = 0;
  for (let at = 0; at < labels.length; at++) nats += surprise(logits, at * width, width, Number(labels[at]));
  return nats;
}

/** Windows in one run. */
const ROWS = 8;

/**
 * Perplexity of a text for a model with input `ids` and output `logits`. The text is cut into windows of `context` tokens
 * next to each other; every token but the first is predicted once, from those before it in its window.
 */
export async function perplexity(session: Session, tokens: Int32Array, context: number): Promise<Surprise> {
  const whole = Math.floor((tokens.length - 1) / context);
  let nats = 0;
  const add = async (starts: readonly number[], length: number): Promise<void> => {
    const { ids, labels } = rowsAt(tokens, starts, length);
    const { logits } = await session.run({ ids }, ["logits"]);
    nats += natsOf(logits!.data as Float32Array, labels.data as BigInt64Array, logits!.shape.at(-1)!);
  };
  for (let first = 0; first < whole; first += ROWS) {
    const count = Math.min(ROWS, whole - first);
    await add(
      Array.from({ length: count }, (_, at) => (first + at) * context),
      context,
    );
  }
  const rest = tokens.length - 1 - whole * context;
  if (rest > 0) await add([whole * context], rest);
  const predicted = tokens.length - 1;
  return { nats, tokens: predicted, perplexity: Math.exp(nats / predicted) };
}
