/** The contract of everything that runs a model. Implementations: ort-node, ort-web, litert, reference (of TFLite); later llama. */
import type { Feeds, NDArray, ValueInfo } from "../ir/model.ts";

/** Where a model's bytes are: a file (with its external data beside it), or memory. */
export type ModelPlace =
  | {
      readonly path: string;
      /** What messages call it; the path unless told, which says nothing where the file is a temporary one. */
      readonly label?: string;
    }
  | {
      readonly bytes: Uint8Array;
      readonly external?: readonly { readonly location: string; readonly bytes: Uint8Array }[];
    };

/** A model in memory, its external data with it. */
export type MemoryPlace = Exclude<ModelPlace, { readonly path: string }>;

/** How an engine opens a model. */
export interface OpenOptions {
  /** Threads inside one operator; 1 by default, so that runs repeat. */
  readonly threads?: number;
  /** Graph optimizations of the engine: `all` by default, `none` for debugging. */
  readonly optimize?: "all" | "none";
  /** For run after run: threads that have nothing to do stay awake for a moment, since waking them takes as long as small operators. */
  readonly spin?: boolean;
  /** Collect a profile; read it with `Session.profile`. Code "unsupported" where the engine has none. */
  readonly profile?: boolean;
}

/** What messages call a model. */
export const placeLabel = (place: ModelPlace): string =>
  "path" in place ? (place.label ?? place.path) : "model in memory";

/** Time spent in one node of the optimized graph, in milliseconds, summed over runs. */
export interface NodeTime {
  readonly node: string;
  readonly op: string;
  readonly ms: number;
  readonly runs: number;
}

/** A model that is open and can be run; whoever opened it closes it. */
export interface Session {
  /** Threads this session really runs with. */
  readonly threads: number;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** Runs once. `fetches` limits what is returned; all outputs by default. */
  run(feeds: Feeds, fetches?: readonly string[]): Promise<Readonly<Record<string, NDArray>>>;
  /** Feeds as the file itself takes them, where this session shows its inputs under other names or as other types. */
  ownFeeds?(feeds: Feeds): Feeds;
  /** Ends profiling and returns what was collected; only for sessions opened with `profile`. */
  profile(): Promise<readonly NodeTime[]>;
  close(): Promise<void>;
}

/** What the session's file takes for these feeds: for whoever opens the file anew. */
export const ownFeeds = (session: Session, feeds: Feeds): Feeds => session.ownFeeds?.(feeds) ?? feeds;

/** Something that runs models. */
export interface Engine {
  readonly name: "ort-node" | "ort-web" | "litert" | (string & {});
  readonly version: string;
  /** What a person should know: "native CPU", "WebAssembly, 1 thread". */
  readonly description: string;
  open(place: ModelPlace, options?: OpenOptions): Promise<Session>;
  /**
   * Counts the ops that remain after the engine's own optimization, sub-graphs included: which nodes really run in
   * integers. An engine that can't write its optimized graph counts the nodes that ran on `feeds` (zeros of the
   * smallest legal shape without them); undefined when it can do neither.
   */
  opHistogram(place: ModelPlace, feeds?: Feeds): Promise<OpHistogram | undefined>;
}

/** How an op that holds most of a model's arithmetic does it: on 8-bit integers, in floats on packed codes, in floats. */
export type Arithmetic = "integer" | "codes" | "float";

/** Number of nodes by op name, as the engine names them. */
export type OpHistogram = Readonly<Record<string, number>>;

/** An engine, or one sentence on why it can't be had here. */
export type Opened =
  | { readonly engine: Engine; readonly reason?: undefined }
  | { readonly engine?: undefined; readonly reason: string };
