/**
 * node scripts/bundle.js FOLDER: puts the command line of a build and its threads into a few files, FOLDER/program. Reading two
 * hundred modules takes longer than a small job. Packages stay packages; programs for programs (fewbit/node, ...) stay modules.
 */
import { join, resolve } from "node:path";
import { rolldown } from "rolldown";

/** Whatever is started by name, by its name. */
const ENTRIES = { run: "cli/run.js", "encode-worker": "node/encode-worker.js" };

const folder = resolve(process.argv[2]);
const input = Object.fromEntries(Object.entries(ENTRIES).map(([name, path]) => [name, join(folder, path)]));
const bundle = await rolldown({
  input,
  platform: "node",
  external: (id) => /^[^./]/.test(id) && !id.startsWith(folder),
});
await bundle.write({ dir: join(folder, "program"), format: "esm" });
await bundle.close();
