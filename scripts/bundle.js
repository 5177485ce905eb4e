/**
 * node scripts/bundle.js FOLDER: puts the command line of a build and its threads into a few files, FOLDER/program. Reading two
 * hundred modules takes longer than a small job. Packages stay packages; programs for programs (fewbit/node, ...) stay modules.
 */
import { dirname, join, resolve } from "node:path";
import { rolldown } from "rolldown";

/** Whatever is started by name, by its name. */
const ENTRIES = { run: "cli/run.js", "encode-worker": "node/encode-worker.js" };
/**
 * Files that hold modules and all that these import, the first that does: the jobs that are over in less than a second read few
 * files.
 */
const FILES = {
  threads: ["node/waiting-threads.js"],
  encode: ["node/encode-runners.js", "node/encode-pieces.js"],
  importance: ["node/open-importance.js", "pipeline/weights/work.js"],
  weights: [
    ...["cli/start.js", "node/services.js", "node/quantize-weights-several.js"],
    ...["pipeline/report/weights.js", "pipeline/report/json.js"],
  ],
};
/** What is loaded late out of files that it lies in itself: there is nothing left to load. */
const IN_PLACE = [
  ...["node/services.js", "node/encode-pieces.js", "node/quantize-weights-several.js"],
  ...["pipeline/report/weights.js", "pipeline/report/json.js"],
];

const folder = resolve(process.argv[2]);
const at = (path) => join(folder, path);

/** Ids of modules and of all that they import. */
function reached(ids, context, found = new Set()) {
  for (const id of ids) {
    if (found.has(id)) continue;
    found.add(id);
    reached([...(context.getModuleInfo(id)?.importedIds ?? [])], context, found);
  }
  return found;
}

let sets;

function fileOf(id, context) {
  sets ??= Object.entries(FILES).map(([name, paths]) => [name, reached(paths.map(at), context)]);
  return sets.find(([, ids]) => ids.has(id))?.[0] ?? null;
}

const isInPlace = (id, path) => IN_PLACE.some((name) => at(name) === resolve(dirname(id), path));

/** Replaces `import(PATH)` of those by the module, as a promise. */
const inPlace = {
  name: "in-place",
  transform(code, id) {
    const found = [];
    const body = code.replaceAll(/\bimport\("(\.[^"]+)"\)/g, (all, path) =>
      isInPlace(id, path) ? `Promise.resolve(inPlace${found.push(path)})` : all,
    );
    return found.map((path, i) => `import * as inPlace${i + 1} from "${path}";\n`).join("") + body;
  },
};

const bundle = await rolldown({
  input: Object.fromEntries(Object.entries(ENTRIES).map(([name, path]) => [name, at(path)])),
  platform: "node",
  plugins: [inPlace],
  checks: { ineffectiveDynamicImport: false },
  external: (id) => /^[^./]/.test(id) && !id.startsWith(folder),
});
await bundle.write({
  ...{ dir: join(folder, "program"), format: "esm" },
  comments: false,
  codeSplitting: { groups: [{ name: fileOf, debugName: "together" }] },
});
await bundle.close();
