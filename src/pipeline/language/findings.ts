/** What is to be said of language models that were run, in sentences. */
import type { Contract, Finding } from "../result.ts";
import type { LanguageQuality, LanguageRun, LanguageSpeed } from "./result.ts";

/** Below this share of equal answers a model says other things; 2-bit types of small models come there. */
const LEAST_AGREEMENT = 0.7;
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

function qualityFindings({ agreement, notFinite, text }: LanguageQuality): readonly Finding[] {
  const far: Finding = {
    severity: "warning",
    code: "far",
    message: `the likeliest token is the original's at only ${percent(agreement.value)} of ${text.predicted} places`,
    remedy: "choose a scheme with more bits, or give an importance matrix with --imatrix",
  };
  const bad: Finding = {
    severity: "warning",
    code: "not-finite",
    message: `the original's answers are no numbers at ${notFinite.before} of ${text.predicted} places, which were left out`,
  };
  const made: Finding = {
    severity: "info",
    code: "random-data",
    message:
      "the tokens were drawn at random, which says how far the models are apart and nothing of how good they are",
    remedy: "give a text with --data text.txt",
  };
  return [
    ...(agreement.value < LEAST_AGREEMENT ? [far] : []),
    ...(notFinite.before > 0 ? [bad] : []),
    ...(text.random ? [made] : []),
  ];
}

function speedFindings({ prompt, generation }: LanguageSpeed): readonly Finding[] {
  if (generation.ratio >= 1) return [];
  const faster = prompt.ratio >= 1 ? "prompts are faster, but " : "";
  return [
    {
      severity: "info",
      code: "no-speedup",
      message: `${faster}generation runs at ${percent(generation.ratio)} of the original's speed on this machine`,
      remedy: "fewer bits pay where memory is the limit: large models, many threads; for small ones try q8_0 or q4_0",
    },
  ];
}

/** What the figures of a run mean. */
export const runFindings = ({ quality, speed }: LanguageRun): readonly Finding[] => [
  ...(quality ? qualityFindings(quality) : []),
  ...(speed ? speedFindings(speed) : []),
];

const POINTS = 100;

/** Whether perplexity rose by at most `maxDrop` percent of the original's; undefined where there is no perplexity. */
export function perplexityContract({ perplexity }: LanguageQuality, maxDrop: number): Contract | undefined {
  if (perplexity === undefined) return undefined;
  const drop = perplexity.ratio.value - 1;
  return { metric: "perplexity", maxDrop: maxDrop / POINTS, drop, met: drop <= maxDrop / POINTS };
}
