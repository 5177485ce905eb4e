/** Language models that are run: perplexity, distance, speed, and what to say of them. */
export { BUILT_IN_TEXT } from "./built-in-text.ts";
export { perplexityContract, runFindings } from "./findings.ts";
export { compareModels, perplexityOf } from "./quality.ts";
export type {
  LanguageBenchReport,
  LanguageBenchRow,
  LanguageCompareReport,
  LanguageQuality,
  LanguageRun,
  LanguageSpeed,
  SpeedRow,
  SpeedSetup,
  TextSummary,
} from "./result.ts";
export { measureSpeed, type Speeds, type SpeedWish } from "./speed.ts";
export { LEAST_TOKENS, type TextSource, type Windows, type WindowsWish, windowsOf } from "./windows.ts";
