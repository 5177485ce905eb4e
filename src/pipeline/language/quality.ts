/** Perplexity of one model or two, and how far two are apart: logits are compared as they come and not kept. */
import type { LanguageSession } from "../../engines/language.ts";
import { quantile } from "../../engines/timing.ts";
import { fail } from "../../numeric/errors.ts";
import { type Estimate, expOf, meanOf, placeErrors, surprise } from "../../numeric/token-metrics.ts";
import { type Hooks, type ProgressStep, stopIfAborted } from "../progress.ts";
import type { LanguageQuality } from "./result.ts";
import type { Windows } from "./windows.ts";

/** Logits that are asked for at once, 32 MB: the largest vocabularies get some 30 places at a time. */
const PIECE_VALUES = 1 << 23;

/** Logits of some places of all models, and the tokens that come there. */
interface Piece {
  readonly rows: readonly Float32Array[];
  readonly next: Int32Array;
}

/** The places of a window that count, piece by piece; all models run at the same time. */
async function* piecesOf(
  sessions: readonly LanguageSession[],
  window: Int32Array,
  first: number,
): AsyncIterable<Piece> {
  const most = Math.max(1, Math.floor(PIECE_VALUES / sessions[0]!.vocabulary));
  for (let from = first; from < window.length - 1; from += most) {
    const to = Math.min(from + most, window.length - 1);
    const run = (session: LanguageSession) =>
      from === first ? session.start(window.slice(0, to), first) : session.proceed(window.slice(from, to));
    yield { rows: await Promise.all(sessions.map(run)), next: window.subarray(from + 1, to + 1) };
  }
}

async function forEachPiece(
  sessions: readonly LanguageSession[],
  { windows, first, summary }: Windows,
  { progress, signal }: Hooks,
  use: (piece: Piece, step: ProgressStep) => void,
): Promise<void> {
  const step = progress.step(`reading ${summary.origin}, tokens`, summary.predicted);
  try {
    for (const window of windows)
      for await (const piece of piecesOf(sessions, window, first)) {
        stopIfAborted(signal);
        use(piece, step);
        step.tick(piece.next.length);
      }
  } finally {
    step.done();
  }
}

/** Perplexity of a model as llama-perplexity computes it. Code "engine" where its answers are no numbers. */
export async function perplexityOf(session: LanguageSession, text: Windows, hooks: Hooks): Promise<Estimate> {
  const nats: number[] = [];
  await forEachPiece([session], text, hooks, ({ rows, next }) => {
    const { vocabulary } = session;
    for (const [at, token] of next.entries()) nats.push(surprise(rows[0]!, at * vocabulary, vocabulary, token));
  });
  if (!nats.every(Number.isFinite))
    fail("engine", `${text.summary.origin}: the model answers with values that are no numbers`);
  return expOf(meanOf(nats));
}

const ascending = (values: readonly number[]): readonly number[] => [...values].sort((a, b) => a - b);

/** Runs both models on the same windows and compares all probabilities of every place. */
export async function compareModels(
  before: LanguageSession,
  after: LanguageSession,
  text: Windows,
  hooks: Hooks,
): Promise<LanguageQuality> {
  const width = before.vocabulary;
  if (after.vocabulary !== width)
    fail(
      "data",
      `the models have vocabularies of ${width} and ${after.vocabulary} tokens; only models of one kind are compared`,
    );
  const [first, second, apart, agree]: [number[], number[], number[], number[]] = [[], [], [], []];
  const notFinite = { before: 0, after: 0 };
  await forEachPiece([before, after], text, hooks, ({ rows, next }) => {
    for (const [at, token] of next.entries()) {
      const place = placeErrors({ before: rows[0]!, after: rows[1]!, start: at * width, width }, token);
      if (!Number.isFinite(place.before)) notFinite.before++;
      else if (!Number.isFinite(place.after + place.divergence)) notFinite.after++;
      else {
        first.push(place.before);
        second.push(place.after);
        apart.push(place.divergence);
        agree.push(place.agree ? 1 : 0);
      }
    }
  });
  const sorted = ascending(apart);
  const differences = second.map((nats, at) => nats - first[at]!);
  const perplexity = { before: expOf(meanOf(first)), after: expOf(meanOf(second)), ratio: expOf(meanOf(differences)) };
  return {
    text: text.summary,
    ...(!text.summary.random && { perplexity }),
    divergence: {
      mean: meanOf(apart),
      median: quantile(sorted, 0.5),
      p99: quantile(sorted, 0.99),
      max: sorted.at(-1) ?? 0,
    },
    agreement: meanOf(agree),
    notFinite,
  };
}
