/**
 * The contract of what runs language models from files that hold weights without a graph. Implementations: llama. A
 * model is asked for its logits token by token of a window, for its speed, and for its memory.
 */
import type { ModelPlace } from "./contract.ts";

/** A file; of several, the first. */
export type LanguagePlace = Extract<ModelPlace, { readonly path: string }>;

/** How a language model is opened. */
export interface LanguageOptions {
  /** Tokens that a window holds at most; what the model was trained for, and no more than 512, by default. */
  readonly context?: number;
  /** 1 by default. */
  readonly threads?: number;
  /** Have every block's values looked at while opening; reads the whole file. */
  readonly check?: boolean;
}

/** Bytes that the model takes beyond the engine itself, and milliseconds until it was open. */
export interface LanguageMemory {
  readonly resident: number;
  readonly peak: number;
  readonly load: number;
}

/** A language model that is open; whoever opened it closes it. */
export interface LanguageSession {
  readonly threads: number;
  /** Tokens of the vocabulary: the length of a row of logits. */
  readonly vocabulary: number;
  /** Tokens that a window holds. */
  readonly context: number;
  /** The token that the model's metadata wants before every text. */
  readonly begin?: number;
  /** False for files without a vocabulary, whose tokens are numbers alone. */
  readonly hasTokenizer: boolean;
  /** A text as tokens, with what the metadata wants before and behind it. Code "unsupported" without a vocabulary. */
  tokenize(text: string): Promise<Int32Array>;
  /** Runs a window from its beginning; answers the logits of the places from `first` on, [places, vocabulary]. */
  start(tokens: Int32Array, first: number): Promise<Float32Array>;
  /** Goes on with the window: the logits of all places of these tokens. */
  proceed(tokens: Int32Array): Promise<Float32Array>;
  /** Reads a prompt, computing one answer at its end: what prompt speed is measured by. */
  prompt(tokens: Int32Array): Promise<void>;
  /** Goes on from the prompt token by token, always with the likeliest. */
  generate(count: number): Promise<void>;
  memory(): Promise<LanguageMemory>;
  close(): Promise<void>;
}

/** Something that runs language models. */
export interface LanguageEngine {
  readonly name: string;
  readonly version: string;
  open(place: LanguagePlace, options?: LanguageOptions): Promise<LanguageSession>;
}

/** A language engine, or one sentence on why it can't be had here. */
export type OpenedLanguage =
  | { readonly engine: LanguageEngine; readonly reason?: undefined; readonly remedy?: undefined }
  | { readonly engine?: undefined; readonly reason: string; readonly remedy?: string };
