/** One look at what a model computes. */
import type { Feeds, Model, NDArray } from "../ir/model.ts";
import type { Host } from "./host.ts";

/** Everything a model answers to each of some feeds. */
export async function runModel(
  { engine, stage, threads }: Pick<Host, "engine" | "stage"> & Partial<Pick<Host, "threads">>,
  model: Model,
  feeds: readonly Feeds[],
): Promise<readonly Readonly<Record<string, NDArray>>[]> {
  await using staged = await stage(model, "part.onnx", "scratch");
  const session = await engine.open(staged.place, threads === undefined ? {} : { threads });
  try {
    const found: Readonly<Record<string, NDArray>>[] = [];
    for (const one of feeds) found.push(await session.run(one));
    return found;
  } finally {
    await session.close();
  }
}

/** The same for one. */
export const runOnce = async (
  host: Parameters<typeof runModel>[0],
  model: Model,
  feeds: Feeds,
): Promise<Readonly<Record<string, NDArray>>> => (await runModel(host, model, [feeds]))[0]!;
