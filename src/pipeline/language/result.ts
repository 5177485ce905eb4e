/**
 * What running language models gives. Plain data that survives JSON: speeds in tokens per second, bytes, milliseconds,
 * nats. What was not measured is absent.
 */
import type { Estimate } from "../../numeric/token-metrics.ts";
import type { Contract, Environment, Finding, Memory, Ratio } from "../result.ts";

/** What the models were run on. */
export interface TextSummary {
  /** Name of a file, "built-in text", or "random tokens". */
  readonly origin: string;
  /** Made up: says nothing about how good a model is, only how far two are apart. */
  readonly random: boolean;
  /** Of the whole text, with what the model's metadata adds. */
  readonly tokens: number;
  /** Tokens of a window: the first half is context, and all but the first of the second half are predicted. */
  readonly context: number;
  readonly windows: number;
  /** Tokens that were predicted. */
  readonly predicted: number;
}

/** How well two models predict the same text, and how far their answers are apart. Errors are standard errors. */
export interface LanguageQuality {
  readonly text: TextSummary;
  /** exp of the mean of -ln p; `ratio` is after / before with the error of the pairs. Absent for made-up tokens. */
  readonly perplexity?: { readonly before: Estimate; readonly after: Estimate; readonly ratio: Estimate };
  /** Kullback-Leibler divergence from the original's probabilities, in nats. */
  readonly divergence: {
    readonly mean: Estimate;
    readonly median: number;
    readonly p99: number;
    readonly max: number;
  };
  /** Share of places with the same likeliest token. */
  readonly agreement: Estimate;
  /** Places where a model's logits were not all finite; they are not in the figures above. */
  readonly notFinite: { readonly before: number; readonly after: number };
}

/** Tokens per second of one model, medians of rounds in which the models take turns. */
export interface SpeedRow {
  readonly prompt: number;
  readonly generation: number;
  /** The first model's time divided by this one's, median over the rounds: above 1 is faster. */
  readonly promptFaster: number;
  readonly generationFaster: number;
}

/** What speed was measured with. */
export interface SpeedSetup {
  readonly promptTokens: number;
  readonly generatedTokens: number;
  readonly rounds: number;
}

/** `ratio` is after / before: above 1 means that the new one is faster. */
export interface LanguageSpeed extends SpeedSetup {
  readonly prompt: Ratio;
  readonly generation: Ratio;
}

/** Two models, run. */
export interface LanguageRun {
  /** "llama 3.22.1" */
  readonly engine: string;
  readonly threads: number;
  /** Absent where the original was not run. */
  readonly quality?: LanguageQuality;
  /** The new model by itself, where the original was not run. */
  readonly alone?: { readonly text: TextSummary; readonly perplexity: Estimate };
  readonly speed?: LanguageSpeed;
  readonly memory?: Memory;
  readonly contract?: Contract;
}

interface Named {
  readonly name: string;
  readonly size: number;
}

/** `fewbit compare` of two GGUF files. */
export interface LanguageCompareReport {
  readonly kind: "compare-language";
  readonly environment: Environment;
  readonly reference: Named;
  readonly candidate: Named;
  readonly size: Ratio;
  readonly run: LanguageRun;
  readonly findings: readonly Finding[];
  readonly seconds: number;
}

/** One model of `fewbit bench`. */
export interface LanguageBenchRow extends Named, SpeedRow {
  readonly memory: { readonly resident: number; readonly peak: number; readonly load: number };
}

/** `fewbit bench` of GGUF files. */
export interface LanguageBenchReport extends SpeedSetup {
  readonly kind: "bench-language";
  readonly environment: Environment;
  readonly rows: readonly LanguageBenchRow[];
  readonly findings: readonly Finding[];
}
