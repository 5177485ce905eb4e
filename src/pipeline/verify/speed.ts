/** Speed and memory of two models side by side. */
import { ownFeeds, type Session } from "../../engines/contract.ts";
import { interleave } from "../../engines/timing.ts";
import type { Feeds } from "../../ir/model.ts";
import type { Host, Staged } from "../host.ts";
import type { Hooks } from "../progress.ts";
import { type Latency, type Memory, ratioOf } from "../result.ts";

/** Long enough for a steady median, short enough to be done for every scheme. */
const BUDGET_MS = 3_000;
/** Small models run in far less than the budget; more rounds than this hardly move their median. */
const ROUNDS = 2_000;

/** Both models in turns on the same sample. The ratio is the median of the pairwise ratios. */
export async function measureLatency(
  { engine }: Host,
  before: Session,
  after: Session,
  feeds: Feeds,
  { progress, signal }: Hooks,
): Promise<Latency> {
  const step = progress.step("measuring speed", ROUNDS);
  const runners = [
    { name: "before", run: () => before.run(feeds) },
    { name: "after", run: () => after.run(feeds) },
  ];
  let seen = 0;
  const onProgress = (done: number): void => {
    step.tick(done - seen);
    seen = done;
  };
  const timings = await interleave(runners, { budgetMs: BUDGET_MS, rounds: ROUNDS, signal, onProgress });
  const [first, second] = [timings[0]!, timings[1]!];
  step.done();
  return {
    before: first.median,
    after: second.median,
    ratio: 1 / second.ratio,
    p90: { before: first.p90, after: second.p90 },
    runs: first.runs,
    engine: `${engine.name} ${engine.version}`,
    threads: after.threads,
    batch: Object.values(feeds)[0]?.shape[0] ?? 1,
  };
}

/** A model file and the session it is open in. */
export interface OpenFile {
  readonly place: Staged["place"];
  readonly session: Session;
}

/** In fresh processes; undefined where the host has none. */
export async function measureMemory(
  { footprint }: Host,
  before: OpenFile,
  after: OpenFile,
  feeds: Feeds,
): Promise<Memory | undefined> {
  if (footprint === undefined) return undefined;
  const of = ({ place, session }: OpenFile) => footprint(place, ownFeeds(session, feeds));
  const first = await of(before);
  const second = await of(after);
  return { ...ratioOf(first.resident, second.resident), load: ratioOf(first.load, second.load) };
}
