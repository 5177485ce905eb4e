/** A model under other names of its inputs and outputs: two tools name the same ports differently. */
import type { Graph, Model, ValueInfo } from "../ir/model.ts";
import { type Engine, ownFeeds, type Session } from "./contract.ts";

/** Names of one model's ports by those of another, in their order. */
export interface PortNames {
  readonly inputs: ReadonlyMap<string, string>;
  readonly outputs: ReadonlyMap<string, string>;
}

const paired = (wanted: readonly ValueInfo[], own: readonly ValueInfo[]): ReadonlyMap<string, string> =>
  new Map(wanted.map(({ name }, i) => [name, own[i]!.name]));

const fedBy = ({ inputs, tensors }: Graph): readonly ValueInfo[] => inputs.filter(({ name }) => !tensors.has(name));

/** How to address `own` by the names of `wanted`; undefined where the names agree, or the numbers of ports don't. */
export function portNames({ graph: wanted }: Model, { graph: own }: Model): PortNames | undefined {
  const [inputs, ownInputs] = [fedBy(wanted), fedBy(own)];
  if (inputs.length !== ownInputs.length || wanted.outputs.length !== own.outputs.length) return undefined;
  const names = { inputs: paired(inputs, ownInputs), outputs: paired(wanted.outputs, own.outputs) };
  const same = [...names.inputs, ...names.outputs].every(([a, b]) => a === b);
  return same ? undefined : names;
}

function renamedSession(session: Session, { inputs, outputs }: PortNames): Session {
  const inputOf = new Map([...inputs].map(([wanted, own]) => [own, wanted]));
  const outputOf = new Map([...outputs].map(([wanted, own]) => [own, wanted]));
  const renamed = (names: ReadonlyMap<string, string>) => (info: ValueInfo) => ({
    ...info,
    name: names.get(info.name) ?? info.name,
  });
  const keys = <T>(values: Readonly<Record<string, T>>, names: ReadonlyMap<string, string>): Record<string, T> =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [names.get(name) ?? name, value]));
  return {
    threads: session.threads,
    inputs: session.inputs.map(renamed(inputOf)),
    outputs: session.outputs.map(renamed(outputOf)),
    run: async (feeds, fetches) =>
      keys(
        await session.run(
          keys(feeds, inputs),
          fetches?.map((name) => outputs.get(name) ?? name),
        ),
        outputOf,
      ),
    ownFeeds: (feeds) => ownFeeds(session, keys(feeds, inputs)),
    profile: () => session.profile(),
    close: () => session.close(),
  };
}

/** The engine with ports of the models it opens under other names. */
export const withPortNames = (engine: Engine, names: PortNames): Engine => ({
  ...engine,
  open: async (place, options) => renamedSession(await engine.open(place, options), names),
});
