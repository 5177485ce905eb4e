/** What bin/fewbit.js starts. */
import { beginThreads, threadsWantedBy } from "../node/waiting-threads.ts";

/** Runs the command line of this process; its threads start while it is understood and its model opened, which takes as long. */
export async function run(): Promise<never> {
  beginThreads(threadsWantedBy(process.argv.slice(2)));
  const { start } = await import("./start.ts");
  return start();
}
