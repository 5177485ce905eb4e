/** The commands as functions for programs: what the command line always says may be left out here. */
import { type Hooks, noHooks } from "../pipeline/progress.ts";
import type {
  BenchReport,
  CompareReport,
  DryRun,
  InspectReport,
  QuantizeReport,
  SchemesReport,
} from "../pipeline/result.ts";
import type { BenchRequest, CompareRequest, DataRequest, EvaluationRequest, QuantizeRequest } from "./requests.ts";
import * as services from "./services.ts";

/** A request where only `K` must be given. */
type Only<T, K extends keyof T> = Pick<T, K> & Partial<Omit<T, K>>;

/** Samples: a path alone, or with settings. */
export type Samples = string | Only<DataRequest, "path">;

/** Samples to measure on; a path alone is enough where there are no labels. */
export type Evaluate = string | (Omit<Partial<EvaluationRequest>, "data"> & { readonly data?: Samples });

export interface QuantizeOptions extends Only<Omit<QuantizeRequest, "calibration" | "evaluation">, "model"> {
  readonly calibration?: Samples;
  readonly evaluation?: Evaluate;
}

export interface CompareOptions extends Only<Omit<CompareRequest, "evaluation">, "reference" | "candidate"> {
  readonly evaluation: Evaluate;
}

export interface BenchOptions extends Only<Omit<BenchRequest, "data">, "models"> {
  readonly data?: Samples;
}

const samples = (wish: Samples): DataRequest => ({ seed: 0, ...(typeof wish === "string" ? { path: wish } : wish) });

function evaluation(wish: Evaluate): EvaluationRequest {
  const { data, ...rest } = typeof wish === "string" ? { data: wish } : wish;
  return { metrics: [], ...rest, ...(data === undefined ? {} : { data: samples(data) }) };
}

const asRequest = ({ calibration, evaluation: wish, ...rest }: QuantizeOptions): QuantizeRequest => ({
  schemes: [],
  keep: [],
  force: false,
  embeddings: false,
  threads: 1,
  command: "quantize() of fewbit/node",
  ...rest,
  ...(calibration === undefined ? {} : { calibration: samples(calibration) }),
  ...(wish === undefined ? {} : { evaluation: evaluation(wish) }),
});

const asHooks = (hooks: Partial<Hooks>): Hooks => ({ ...noHooks, ...hooks });

/**
 * Quantizes a model file or a transformers.js folder: makes, runs and writes one model per scheme, and reports on each.
 * A scheme that can't be made is listed under `refused`; when none can, the reason is thrown.
 */
export const quantize = (options: QuantizeOptions, hooks: Partial<Hooks> = {}): Promise<QuantizeReport> =>
  services.quantize(asRequest(options), asHooks(hooks));

/** What `quantize` would do with the same options: the plans, nothing calibrated or written. */
export const plan = (options: QuantizeOptions, hooks: Partial<Hooks> = {}): Promise<DryRun> =>
  services.plan(asRequest(options), asHooks(hooks));

/** Runs two models on the same samples: outputs, accuracy, size, speed, memory. */
export const compare = (options: CompareOptions, hooks: Partial<Hooks> = {}): Promise<CompareReport> =>
  services.compare(
    { threads: 1, command: "compare() of fewbit/node", ...options, evaluation: evaluation(options.evaluation) },
    asHooks(hooks),
  );

/** Latency, throughput and memory of models that take turns; the first is what the others are measured against. */
export const bench = ({ data, ...rest }: BenchOptions, hooks: Partial<Hooks> = {}): Promise<BenchReport> =>
  services.bench(
    { threads: 1, batch: 1, ...rest, ...(data === undefined ? {} : { data: samples(data) }) },
    asHooks(hooks),
  );

/** What is inside a model file: inputs, ops, weights by type, what can be quantized and what can't. */
export const inspect = (model: string): Promise<InspectReport> => services.inspect({ model }, noHooks);

/** All schemes; with a model file, whether each fits it and how many bytes its constants would have. */
export const schemes = (model?: string): Promise<SchemesReport> =>
  services.schemes(model === undefined ? {} : { model }, noHooks);
