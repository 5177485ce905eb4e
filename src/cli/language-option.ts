/** Options of commands that run language models. */
import type { OptionRow } from "./command.ts";
import { integer } from "./option.ts";

/** No model's window is longer; the two halves want 16 tokens each. */
const [LEAST_CONTEXT, MOST_CONTEXT] = [32, 1 << 20];

export const CONTEXT: OptionRow = {
  flags: "--context <n>",
  summary: "GGUF: tokens of a window that --data is read in; 512 by default, fewer for short texts",
  parse: integer(LEAST_CONTEXT, MOST_CONTEXT),
};
