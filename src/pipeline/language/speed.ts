/** Tokens per second, the models taking turns. */
import type { LanguageSession } from "../../engines/language.ts";
import { interleave, type Timing } from "../../engines/timing.ts";
import { rng } from "../../numeric/rng.ts";
import type { Hooks } from "../progress.ts";
import type { SpeedRow, SpeedSetup } from "./result.ts";

/** Tokens of the prompt where the window holds them, and tokens that are generated. */
const PROMPT = 128;
const GENERATED = 32;
const ROUNDS = 10;
const LEAST_ROUNDS = 3;
/** Milliseconds for prompts, and as many for generation. */
const BUDGET_MS = 10_000;

/** How long to measure. */
export interface SpeedWish {
  /** Timed rounds; up to 10, as many as fit into 10 seconds, by default. */
  readonly rounds?: number;
}

/** Speeds by the position of the sessions, the first of which the others are measured against. */
export interface Speeds {
  readonly setup: SpeedSetup;
  readonly rows: readonly SpeedRow[];
}

/** Tokens do not matter to speed. */
function promptOf(sessions: readonly LanguageSession[], length: number): Int32Array {
  const random = rng(0);
  const least = Math.min(...sessions.map(({ vocabulary }) => vocabulary));
  return Int32Array.from({ length }, () => random.integer(0, least - 1));
}

const perSecond = (tokens: number, milliseconds: number): number => (1000 * tokens) / milliseconds;
const faster = ({ ratio }: Timing): number => (ratio > 0 ? 1 / ratio : 1);

/** Prompt and generation speed of models that are open. */
export async function measureSpeed(
  sessions: readonly LanguageSession[],
  { progress, signal }: Hooks,
  { rounds }: SpeedWish = {},
): Promise<Speeds> {
  const room = Math.min(...sessions.map(({ context }) => context));
  const promptTokens = Math.min(PROMPT, room);
  const generatedTokens = Math.min(GENERATED, room - 1);
  const most = rounds ?? ROUNDS;
  const step = progress.step("measuring speed", 2 * most);
  const tokens = promptOf(sessions, promptTokens);
  const measured = async (run: (session: LanguageSession) => Promise<void>) => {
    const runners = sessions.map((session, at) => ({ name: String(at), run: () => run(session) }));
    let seen = 0;
    return interleave(runners, {
      ...{ warmup: 1, rounds: most, minRounds: rounds ?? LEAST_ROUNDS, budgetMs: BUDGET_MS, signal },
      onProgress: (done) => {
        step.tick(done - seen);
        seen = done;
      },
    });
  };
  try {
    const prompt = await measured((session) => session.prompt(tokens));
    const generation = await measured(async (session) => {
      await session.prompt(tokens.subarray(0, 1));
      await session.generate(generatedTokens - 1);
    });
    const rows = sessions.map((_, at) => ({
      prompt: perSecond(promptTokens, prompt[at]!.median),
      generation: perSecond(generatedTokens, generation[at]!.median),
      promptFaster: faster(prompt[at]!),
      generationFaster: faster(generation[at]!),
    }));
    return { setup: { promptTokens, generatedTokens, rounds: prompt[0]!.runs }, rows };
  } finally {
    step.done();
  }
}
