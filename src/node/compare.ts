/** fewbit compare and fewbit bench: models the user already has, side by side. */
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { ownFeeds, type Session } from "../engines/contract.ts";
import { portNames, withPortNames } from "../engines/renamed.ts";
import { interleave, type Timing } from "../engines/timing.ts";
import type { Feeds, GraphContainer } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import { contractOf } from "../pipeline/contract.ts";
import type { Footprint } from "../pipeline/host.ts";
import type { Hooks } from "../pipeline/progress.ts";
import type { BenchReport, BenchRow, CompareReport } from "../pipeline/result.ts";
import type { Evaluation } from "../pipeline/verify/outputs.ts";
import { verify } from "../pipeline/verify.ts";
import { CONTAINER_LABELS } from "../recipes/schemes.ts";
import { environmentOf } from "./environment.ts";
import { sha256File } from "./files.ts";
import { type NodeHost, nodeHost } from "./host.ts";
import { engineFindings, reportHead } from "./report-head.ts";
import type { BenchRequest, CompareRequest } from "./requests.ts";
import { openEvaluation, openSamples, summaryOf } from "./samples.ts";
import { openSource, type SourceModel } from "./surroundings.ts";

/** Runs both models on the same samples, those of the request or `given` ones, and says how far apart they are. */
export async function compareFiles(request: CompareRequest, hooks: Hooks, given?: Evaluation): Promise<CompareReport> {
  const start = performance.now();
  const reference = await openSource(request.reference);
  const candidate = await openSource(request.candidate);
  try {
    const host = await nodeHost(request, hooks.signal, undefined, containerOf([reference, candidate]));
    const { evaluation, random } = given
      ? { evaluation: given, random: given.data.random === true }
      : await openEvaluation(request.evaluation, undefined, reference.model);
    const files = await Promise.all(candidate.files.map(fileFacts));
    const staged = {
      place: { path: candidate.path },
      files,
      size: candidate.summary.size,
      [Symbol.asyncDispose]: async () => {},
    };
    const base = { name: reference.summary.name, place: { path: reference.path }, size: reference.summary.size };
    const candidateEngine = await engineFor(request, host, reference, candidate);
    const layers = request.layers ? { layers: { before: reference.model, after: candidate.model } } : {};
    const input = { reference: base, candidate: staged, evaluation, random, candidateEngine, ...layers };
    const verified = await verify(host, input, hooks);
    const contract = request.maxDrop === undefined ? undefined : contractOf(verified, request.maxDrop);
    const head = reportHead(request, host, reference.summary, start);
    const { seconds } = head;
    return {
      ...head,
      kind: "compare",
      evaluation: summaryOf({ data: evaluation.data, random }),
      candidate: { scheme: candidate.summary.name, files, ...verified, ...(contract ? { contract } : {}), seconds },
      findings: engineFindings(host),
    };
  } finally {
    await reference.close();
    await candidate.close();
  }
}

/** What runs the candidate: another engine if asked for, and under the names of the reference's inputs and outputs. */
async function engineFor(request: CompareRequest, host: NodeHost, reference: SourceModel, { model }: SourceModel) {
  const { candidateEngine: engine, threads } = request;
  const other = engine && (await nodeHost({ engine, threads }, NEVER, undefined, model.container)).engine;
  const names = portNames(reference.model, model);
  return names === undefined ? other || host.engine : withPortNames(other || host.engine, names);
}

const NEVER = new AbortController().signal;

/** Models side by side run on one engine, so they are of one container. */
function containerOf(models: readonly SourceModel[]): GraphContainer {
  const [first, ...rest] = models;
  const other = rest.find(({ model }) => model.container !== first!.model.container);
  if (other !== undefined)
    fail(
      "usage",
      `${first!.path} is ${CONTAINER_LABELS[first!.model.container]} and ${other.path} is ${CONTAINER_LABELS[other.model.container]}; measure models of one kind, or make the TFLite one ONNX with fewbit convert`,
    );
  return first!.model.container;
}

const fileFacts = async (path: string) => ({
  name: basename(path),
  size: (await stat(path)).size,
  sha256: await sha256File(path),
});

const ROUNDS = 100;
const BUDGET_MS = 20_000;

/** Latency, throughput and memory of any number of models, taking turns. */
export async function benchFiles(request: BenchRequest, hooks: Hooks): Promise<BenchReport> {
  const models: SourceModel[] = [];
  const sessions: Session[] = [];
  try {
    for (const path of request.models) models.push(await openSource(path));
    const host = await nodeHost(request, hooks.signal, undefined, containerOf(models));
    const feeds: Feeds[] = [];
    for (const model of models) {
      sessions.push(await host.engine.open({ path: model.path }, { threads: request.threads }));
      feeds.push(await benchFeeds(request, model));
    }
    const memory: (Footprint | undefined)[] = [];
    for (const [i, { path }] of models.entries())
      memory.push(await host.footprint?.({ path }, ownFeeds(sessions[i]!, feeds[i]!)));
    const timings = await timed(request, models, sessions, feeds, hooks);
    return {
      kind: "bench",
      environment: environmentOf(host.engine, request.threads),
      runs: timings[0]?.runs ?? 0,
      rows: models.map((model, i) => benchRow(model, timings[i]!, timings[0]!, feeds[i]!, memory[i])),
      findings: engineFindings(host),
    };
  } finally {
    for (const session of sessions) await session.close();
    for (const model of models) await model.close();
  }
}

async function timed(
  { runs }: BenchRequest,
  models: readonly SourceModel[],
  sessions: readonly Session[],
  feeds: readonly Feeds[],
  { progress, signal }: Hooks,
): Promise<readonly Timing[]> {
  const rounds = runs ?? ROUNDS;
  const step = progress.step("measuring", rounds);
  const runners = sessions.map((session, i) => ({ name: models[i]!.summary.name, run: () => session.run(feeds[i]!) }));
  let seen = 0;
  const onProgress = (done: number): void => {
    step.tick(done - seen);
    seen = done;
  };
  const limits = runs === undefined ? { budgetMs: BUDGET_MS } : { minRounds: runs };
  const timings = await interleave(runners, { ...limits, rounds, signal, onProgress });
  step.done();
  return timings;
}

const batchOf = (feeds: Feeds): number => Object.values(feeds)[0]?.shape[0] ?? 1;

function benchRow(
  { summary }: SourceModel,
  timing: Timing,
  first: Timing,
  feeds: Feeds,
  memory: Footprint | undefined,
): BenchRow {
  const batch = batchOf(feeds);
  return {
    name: summary.name,
    size: summary.size,
    median: timing.median,
    p10: timing.p10,
    p90: timing.p90,
    throughput: (1000 * batch) / timing.median,
    batch,
    ...(memory ? { memory } : {}),
    speedup: first === timing ? 1 : 1 / timing.ratio,
  };
}

/** One batch of the samples given, else made-up values: speed does not depend on them. */
async function benchFeeds({ data, batch }: BenchRequest, { model, path }: SourceModel): Promise<Feeds> {
  const samples = await openSamples(data ?? { path: "random", seed: 0, samples: batch }, model);
  for await (const feeds of samples.data.batches(batch)) return feeds;
  return fail("data", `${path}: no samples to run`);
}
