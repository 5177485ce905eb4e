/**
 * The engine of GGUF files: llama.cpp by the binaries of node-llama-cpp, on the CPU. Each model runs in a process of its
 * own that the place lends: ggml ends the process it runs in where it meets something it did not expect.
 */
import { FewbitError, fail } from "../numeric/errors.ts";
import { placeLabel } from "./contract.ts";
import type { LanguageEngine, LanguageMemory, LanguageOptions, LanguagePlace, LanguageSession } from "./language.ts";
import { llamaFail } from "./llama-errors.ts";

/** The version of node-llama-cpp's binaries whose interface is used here; they hold llama.cpp v0.5.0. */
export const LLAMA_VERSION = "3.22.1";

/** What the process answers: something, or an error and what llama.cpp printed of it. */
export type LlamaAnswer = { readonly answer: unknown } | { readonly error: string; readonly said: readonly string[] };

/** A process that holds one model. */
export interface LlamaProcess {
  /** Rejects with an `Error` that says how the process ended, when it did. */
  ask(job: string, values: object): Promise<LlamaAnswer>;
  /** Ends it, whatever it does. */
  end(): Promise<void>;
}

/** What the engine needs of the place it runs in. */
export interface LlamaOptions {
  readonly version: string;
  readonly start: () => Promise<LlamaProcess>;
}

interface OpenAnswer {
  readonly vocabulary: number;
  readonly context: number;
  readonly hasTokenizer: boolean;
  readonly begin?: number;
}

type Ask = <T>(job: string, values?: object) => Promise<T>;

/** Asks with errors as sentences about the model. */
const asking =
  (process: LlamaProcess, where: string): Ask =>
  async <T>(job: string, values: object = {}) => {
    const found = await process.ask(job, values).catch((cause: Error) => {
      if (cause instanceof FewbitError) throw cause;
      return llamaFail(where, cause.message, cause);
    });
    if ("answer" in found) return found.answer as T;
    return llamaFail(where, [...found.said, found.error].join("\n"));
  };

function sessionOf(ask: Ask, where: string, opened: OpenAnswer, threads: number, end: () => Promise<void>) {
  const { vocabulary, context, hasTokenizer, begin } = opened;
  const fits = (tokens: Int32Array): void => {
    if (tokens.length === 0 || tokens.length > context)
      fail("usage", `${where}: ${tokens.length} tokens, expected 1 to ${context}, which is what the window holds`);
    const wrong = tokens.find((token) => !(token >= 0 && token < vocabulary));
    if (wrong !== undefined) fail("data", `${where}: token ${wrong}, expected 0 to ${vocabulary - 1}`);
  };
  const session: LanguageSession = {
    ...{ threads, vocabulary, context, hasTokenizer },
    ...(begin !== undefined && { begin }),
    tokenize: async (text) =>
      hasTokenizer
        ? ask("tokenize", { text })
        : fail("unsupported", `${where}: it has no vocabulary to read text with`),
    start: async (tokens, first) => {
      fits(tokens);
      return ask("start", { tokens, first });
    },
    proceed: async (tokens) => {
      fits(tokens);
      return ask("proceed", { tokens });
    },
    prompt: async (tokens) => {
      fits(tokens);
      await ask("prompt", { tokens });
    },
    generate: (count) => ask("generate", { count }),
    memory: () => ask<LanguageMemory>("memory"),
    close: end,
  };
  return session;
}

async function openModel(
  { start }: LlamaOptions,
  place: LanguagePlace,
  options: LanguageOptions,
): Promise<LanguageSession> {
  const { context, threads = 1, check = false } = options;
  const where = `llama: ${placeLabel(place)}`;
  const process = await start();
  try {
    const ask = asking(process, where);
    const opened = await ask<OpenAnswer>("open", { path: place.path, context, threads, check });
    return sessionOf(ask, where, opened, threads, process.end);
  } catch (error) {
    await process.end();
    throw error;
  }
}

/** The engine, where the package was found. It opens what it is told to: files are to be read by fewbit first. */
export const llamaEngine = (options: LlamaOptions): LanguageEngine => ({
  name: "llama",
  version: options.version,
  open: (place, wish = {}) => openModel(options, place, wish),
});
