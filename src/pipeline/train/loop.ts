/** Runs of one model whose state goes round: it stays where the model runs, and only losses come back. */
import type { ModelPlace, OpenOptions, Session } from "../../engines/contract.ts";
import type { Feeds } from "../../ir/model.ts";

/** A model whose outputs are, in part, its inputs of the next run. Whoever opened it closes it. */
export interface Loop {
  /** Puts the state in its place. */
  load(state: Feeds): Promise<void>;
  /**
   * Runs once and gives `fetches`. The state moves on unless one of them is not finite: what led to a loss that is not a
   * number can then still be looked at.
   */
  run(feeds: Feeds, fetches: readonly string[]): Promise<Feeds>;
  /** The state as it is now. */
  state(): Promise<Feeds>;
  close(): Promise<void>;
}

/** Opens a model as a loop; `next` names for each state input the output with its next value. */
export type OpenLoop = (place: ModelPlace, next: ReadonlyMap<string, string>, options: OpenOptions) => Promise<Loop>;

const allFinite = (outputs: Feeds, names: readonly string[]): boolean =>
  names.every((name) => (outputs[name]!.data as Float32Array).every(Number.isFinite));

/** The loop of a session in this thread; closing it closes the session. */
export function sessionLoop(session: Session, next: ReadonlyMap<string, string>): Loop {
  let state: Feeds = {};
  return {
    async load(values) {
      state = values;
    },
    async run(feeds, fetches) {
      const outputs = await session.run({ ...feeds, ...state });
      if (allFinite(outputs, fetches))
        state = Object.fromEntries([...next].map(([input, output]) => [input, outputs[output]!]));
      return Object.fromEntries(fetches.map((name) => [name, outputs[name]!]));
    },
    state: async () => state,
    close: () => session.close(),
  };
}
