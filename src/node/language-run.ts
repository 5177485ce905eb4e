/** Two language models, opened side by side and measured. */
import type { LanguageEngine, LanguagePlace, LanguageSession } from "../engines/language.ts";
import { fail } from "../numeric/errors.ts";
import {
  compareModels,
  type LanguageRun,
  type LanguageSpeed,
  measureSpeed,
  perplexityContract,
  type TextSource,
  type Windows,
  windowsOf,
} from "../pipeline/language/index.ts";
import type { Hooks } from "../pipeline/progress.ts";
import { type Finding, type Memory, ratioOf } from "../pipeline/result.ts";

/** What to run on and how. */
export interface LanguageWish {
  readonly text: TextSource;
  readonly threads: number;
  /** Tokens of a window. */
  readonly context?: number;
  /** At most this many windows. */
  readonly samples?: number;
  readonly seed: number;
  /** Measure speed and memory too. */
  readonly speed: boolean;
  /** Percent that perplexity may rise by. */
  readonly maxDrop?: number;
}

/** Opens models one after the other, hands them to `use`, and closes them whatever happens. */
export async function withModels<T>(
  engine: LanguageEngine,
  places: readonly LanguagePlace[],
  options: Parameters<LanguageEngine["open"]>[1],
  use: (sessions: readonly LanguageSession[]) => Promise<T>,
): Promise<T> {
  const sessions: LanguageSession[] = [];
  try {
    for (const place of places) sessions.push(await engine.open(place, options));
    return await use(sessions);
  } finally {
    for (const session of sessions) await session.close();
  }
}

/** The windows, and what to say where the model can't read the text. */
export async function windowsFor(
  session: LanguageSession,
  { text, context, samples, seed }: LanguageWish,
): Promise<{ readonly windows: Windows; readonly findings: readonly Finding[] }> {
  const wish = { ...(context !== undefined && { context }), ...(samples !== undefined && { most: samples }) };
  if (session.hasTokenizer || !("text" in text)) return { windows: await windowsOf(session, text, wish), findings: [] };
  const message = `the model has no vocabulary, so ${text.origin} can't be read; tokens drawn at random were run instead`;
  const windows = await windowsOf(session, { origin: "random tokens", seed }, wish);
  return { windows, findings: [{ severity: "warning", code: "no-vocabulary", message }] };
}

function contractFor(run: LanguageRun, maxDrop: number | undefined) {
  if (maxDrop === undefined) return {};
  const contract = run.quality && perplexityContract(run.quality, maxDrop);
  if (contract !== undefined) return { contract };
  return fail("data", "--max-drop is about perplexity, which needs a text and a model with a vocabulary; leave it out");
}

async function speedOf(sessions: readonly LanguageSession[], hooks: Hooks): Promise<LanguageSpeed> {
  const { setup, rows } = await measureSpeed(sessions, hooks);
  const [before, after] = [rows[0]!, rows[1]!];
  return {
    ...setup,
    prompt: { before: before.prompt, after: after.prompt, ratio: after.promptFaster },
    generation: { before: before.generation, after: after.generation, ratio: after.generationFaster },
  };
}

async function memoryOf(before: LanguageSession, after: LanguageSession): Promise<Memory> {
  const [first, second] = [await before.memory(), await after.memory()];
  return { ...ratioOf(first.resident, second.resident), load: ratioOf(first.load, second.load) };
}

/** Everything that is measured of an original and a new model that are open. */
export async function runModels(
  engine: LanguageEngine,
  [before, after]: readonly [LanguageSession, LanguageSession],
  wish: LanguageWish,
  hooks: Hooks,
): Promise<{ readonly run: LanguageRun; readonly findings: readonly Finding[] }> {
  const { windows, findings } = await windowsFor(before, wish);
  // before logits are asked for, which pass through the processes' own memory
  const measured = wish.speed
    ? { speed: await speedOf([before, after], hooks), memory: await memoryOf(before, after) }
    : {};
  const quality = await compareModels(before, after, windows, hooks);
  const run: LanguageRun = {
    ...{ engine: `${engine.name} ${engine.version}`, threads: wish.threads, quality },
    ...measured,
  };
  return { run: { ...run, ...contractFor(run, wish.maxDrop) }, findings };
}
