/** A pass rewrites a model without changing what it computes. It returns the same object when it has nothing to do. */
import type { Feeds, Model, NDArray } from "../ir/model.ts";
import type { DType } from "../numeric/dtypes.ts";

/** Type of a value, every dimension known. */
export interface ValueType {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** What a pass may need from outside: an engine to evaluate constants with. */
export interface PassContext {
  /** Runs a small model; absent when no engine is there, passes that need it then do nothing. */
  readonly evaluate?: (model: Model, feeds: Feeds) => Promise<Readonly<Record<string, NDArray>>>;
  /** Types of values of the main graph as seen in a run, where the model does not declare them. Only ranks are relied on. */
  readonly types?: ReadonlyMap<string, ValueType>;
}

export interface Pass {
  readonly name: string;
  readonly summary: string;
  apply(model: Model, context: PassContext): Model | Promise<Model>;
}
