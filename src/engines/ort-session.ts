/** A session of either ONNX Runtime package behind the contract. */
import type { Feeds, NDArray, ValueInfo } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import type { NodeTime, Session } from "./contract.ts";
import { isFeedable } from "./feedable.ts";
import { checkFeeds, checkFetches } from "./feeds.ts";
import { FATAL, type Ort, type OrtSession } from "./ort-api.ts";
import { ortFail } from "./ort-errors.ts";
import { nodeTimes } from "./ort-profile.ts";
import { fromTensor, toTensor, valueInfo } from "./ort-values.ts";

/** What differs between the packages. */
export interface SessionParts {
  readonly ort: Ort;
  readonly session: OrtSession;
  /** "ort-node: model.onnx", for errors. */
  readonly where: string;
  readonly threads: number;
  /** Ends profiling and hands over the profile; absent when the session does not profile. */
  readonly endProfile?: () => Promise<string>;
  /** Frees what belongs to the session beside itself. */
  readonly dispose?: () => Promise<void>;
}

const byName = (values: readonly ValueInfo[]): ReadonlyMap<string, ValueInfo> =>
  new Map(values.map((value) => [value.name, value]));

const holdable = ({ dtype }: ValueInfo): boolean => dtype !== undefined && isFeedable(dtype);

function tensors(ort: Ort, feeds: Feeds) {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, array]) => [name, toTensor(ort, array, `input "${name}"`)]),
  );
}

async function runOnce(parts: SessionParts, feeds: Feeds, fetches: readonly string[]) {
  const results = await parts.session
    .run(tensors(parts.ort, feeds), fetches, { logSeverityLevel: FATAL })
    .catch((cause) => ortFail(parts.where, cause));
  return Object.fromEntries(
    fetches.map((name): [string, NDArray] => [name, fromTensor(results[name] as never, `output "${name}"`)]),
  );
}

/** Without `fetches` a run returns every output that JavaScript can hold: strings, sequences and maps are left out. */
export function ortSession(parts: SessionParts): Session {
  const inputs = parts.session.inputMetadata.map(valueInfo);
  const outputs = parts.session.outputMetadata.map(valueInfo);
  const inputsByName = byName(inputs);
  const outputsByName = byName(outputs);
  const all = outputs.filter(holdable).map((output) => output.name);
  let closed = false;
  let profiled: Promise<readonly NodeTime[]> | undefined;
  const assertOpen = () => {
    if (closed) fail("engine", `${parts.where}: the session is closed; open the model again`);
  };
  const endProfile = async () => {
    const end =
      parts.endProfile ?? fail("usage", `${parts.where}: open the session with \`profile: true\` to profile it`);
    return nodeTimes(await end());
  };
  return {
    threads: parts.threads,
    inputs,
    outputs,
    async run(feeds, fetches = all) {
      assertOpen();
      checkFeeds(inputsByName, feeds);
      checkFetches(outputsByName, fetches);
      return runOnce(parts, feeds, fetches);
    },
    async profile() {
      if (profiled === undefined) assertOpen();
      profiled ??= endProfile();
      return profiled;
    },
    async close() {
      if (closed) return;
      closed = true;
      if (profiled === undefined) await parts.endProfile?.();
      await parts.session.release();
      await parts.dispose?.();
    },
  };
}
