/** What a place to run in (Node, a browser) lends the pipeline. */
import type { Engine, ModelPlace } from "../engines/contract.ts";
import type { Feeds, Model } from "../ir/model.ts";
import type { OutputFile } from "./result.ts";

/** A model written where the engine can open it and nobody else looks. Disposed with `await using`. */
export interface Staged {
  readonly place: ModelPlace;
  readonly files: readonly OutputFile[];
  /** Bytes of all files. */
  readonly size: number;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Measured in a process of its own, so that nothing else counts. */
export interface Footprint {
  /** Bytes resident after opening and running, above those before. */
  readonly resident: number;
  /** Milliseconds until the model is open. */
  readonly load: number;
}

/** Where models can be put and run. */
export interface Host {
  readonly engine: Engine;
  readonly threads: number;
  /**
   * `name` is the file name the model will have; external data is named after it. An `output` may be put in its place
   * later, `scratch` is only opened.
   */
  stage(model: Model, name: string, use?: "scratch" | "output"): Promise<Staged>;
  /** Takes feeds as the file itself does; absent where there are no processes. */
  footprint?(place: ModelPlace, feeds: Feeds): Promise<Footprint>;
}
