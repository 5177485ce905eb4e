/** A text as windows of tokens, cut as llama-perplexity cuts it. */
import type { LanguageSession } from "../../engines/language.ts";
import { fail } from "../../numeric/errors.ts";
import { rng } from "../../numeric/rng.ts";
import type { TextSummary } from "./result.ts";

/** What is to be run: a text, or tokens drawn by a seed. */
export type TextSource =
  | { readonly origin: string; readonly text: string }
  | { readonly origin: "random tokens"; readonly seed: number };

/** How a text is cut. */
export interface WindowsWish {
  /** Tokens of a window; as many as the session holds, fewer for shorter texts, by default. */
  readonly context?: number;
  /** Use at most this many windows, evenly spread. */
  readonly most?: number;
}

/** Windows of equal length. */
export interface Windows {
  readonly summary: TextSummary;
  /** Place of the first token whose successor is predicted. */
  readonly first: number;
  readonly windows: readonly Int32Array[];
}

/** Fewer than these say nothing: 15 predictions. */
export const LEAST_TOKENS = 32;
/** Tokens of a made-up text: two windows of 64. */
const RANDOM_TOKENS = 128;
const RANDOM_CONTEXT = 64;

async function tokensOf(session: LanguageSession, source: TextSource): Promise<Int32Array> {
  if ("text" in source) return session.tokenize(source.text);
  const random = rng(source.seed);
  return Int32Array.from({ length: RANDOM_TOKENS }, () => random.integer(0, session.vocabulary - 1));
}

/** The largest power of two up to `most`. */
const powerOfTwo = (most: number): number => 2 ** Math.floor(Math.log2(most));

function contextFor(tokens: number, source: TextSource, { context: asked }: WindowsWish, holds: number): number {
  if (tokens < LEAST_TOKENS)
    fail("data", `${source.origin}: ${tokens} tokens, expected at least ${LEAST_TOKENS}; give a longer text`);
  if (asked !== undefined && tokens < asked)
    fail(
      "data",
      `${source.origin}: ${tokens} tokens, expected at least the ${asked} of --context; give a longer text, or shorter windows`,
    );
  if (asked !== undefined) return Math.min(asked, holds);
  const usual = "text" in source ? holds : Math.min(holds, RANDOM_CONTEXT);
  return tokens >= usual ? usual : powerOfTwo(tokens);
}

/** Numbers of the windows to use, evenly spread over all. */
function chosen(all: number, most: number): readonly number[] {
  const count = Math.min(all, most);
  return Array.from({ length: count }, (_, at) => Math.floor((at * all) / count));
}

/**
 * Tokens in windows next to each other; what is left at the end is not used. The first token of each is the one that the
 * model wants before every text. Fails with code "data" for texts that are too short.
 */
export async function windowsOf(
  session: LanguageSession,
  source: TextSource,
  wish: WindowsWish = {},
): Promise<Windows> {
  const tokens = await tokensOf(session, source);
  const context = contextFor(tokens.length, source, wish, session.context);
  const places = chosen(Math.floor(tokens.length / context), wish.most ?? Number.POSITIVE_INFINITY);
  const windows = places.map((at) => {
    const own = tokens.slice(at * context, (at + 1) * context);
    if (session.begin !== undefined) own[0] = session.begin;
    return own;
  });
  const first = Math.floor(context / 2);
  const summary = {
    ...{ origin: source.origin, random: !("text" in source), tokens: tokens.length, context },
    ...{ windows: windows.length, predicted: windows.length * (context - 1 - first) },
  };
  return { summary, first, windows };
}
