/** What bin/fewbit.js starts. */
import { beginThreads } from "../node/waiting-threads.ts";

/** Runs the command line of this process. */
export async function run(): Promise<never> {
  beginThreads(process.argv.slice(2));
  const { start } = await import("./start.ts");
  return start();
}
