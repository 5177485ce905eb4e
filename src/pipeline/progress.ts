/** How long-running steps tell somebody where they are and learn that they should stop. */
import { fail } from "../numeric/errors.ts";

/** One step under way. */
export interface ProgressStep {
  /** `count` more units of the total are done; 1 by default. `now` is what is shown beside them ("loss 0.31"). */
  tick(count?: number, now?: string): void;
  /** Ends the step; `note` is a short result worth keeping ("512 samples"). */
  done(note?: string): void;
}

/** Somebody who wants to know how far things are. */
export interface Progress {
  /** Begins a step, named as an activity ("calibrating"); `total` units when that is known, called `unit` ("MB"). */
  step(title: string, total?: number, unit?: string): ProgressStep;
  /** A sentence for people, at once. */
  note(sentence: string): void;
}

/** What every function that takes long is given. */
export interface Hooks {
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Tells nobody. */
export const silent: Progress = { step: () => ({ tick() {}, done() {} }), note() {} };

/** For callers that have no hooks of their own. */
export const noHooks: Hooks = { progress: silent, signal: new AbortController().signal };

/** Throws `cancelled` once the user asked to stop; call it between batches and between tensors. */
export function stopIfAborted(signal: AbortSignal): void {
  if (signal.aborted) fail("cancelled", "interrupted");
}
