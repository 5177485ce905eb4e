/** What bin/fewbit.js starts. */
import { start } from "./start.ts";

/** Runs the command line of this process. */
export const run = (): Promise<never> => start(() => import("../node/services.ts"));
