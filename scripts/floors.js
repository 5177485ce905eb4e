/** Fails when a folder of src/ imports from its own floor or a higher one. The table is the design's. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

const FLOORS = [
  ["numeric"],
  ["ir", "kernels"],
  ["containers", "observers", "algorithms", "passes", "targets", "recipes"],
  ["engines", "lowering", "conversion", "codegen", "train"],
  ["pipeline"],
  ["cli", "node", "web"],
];
/** Inside a floor only these may look sideways: the command line stands on the file system glue. */
const SIDEWAYS = new Set(["cli>node"]);
/** Only these may import `node:` modules. */
const NODE_FOLDERS = new Set(["cli", "node"]);

const floorOf = new Map(FLOORS.flatMap((folders, floor) => folders.map((folder) => [folder, floor])));
const src = resolve(import.meta.dirname ?? ".", "../src");
const IMPORT = /(?:from|import)\s*\(?\s*["']([^"']+)["']/g;

function complaint(file, target) {
  const folder = relative(src, file).split("/")[0];
  const isTest = /\.(test|case)\.ts$/.test(file);
  if (target.startsWith("node:"))
    return NODE_FOLDERS.has(folder) || isTest ? undefined : `imports ${target}; only cli/ and node/ may`;
  if (!target.startsWith(".") || isTest) return undefined;
  const other = relative(src, resolve(dirname(file), target)).split("/")[0];
  if (other === folder) return undefined;
  if (!floorOf.has(folder) || !floorOf.has(other)) return `imports ${target}, which stands on no floor`;
  if (floorOf.get(other) < floorOf.get(folder) || SIDEWAYS.has(`${folder}>${other}`)) return undefined;
  return `(floor ${floorOf.get(folder)}) imports ${target} (floor ${floorOf.get(other)}); only lower floors are allowed`;
}

const files = readdirSync(src, { recursive: true })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => join(src, name));
const complaints = files.flatMap((file) =>
  [...readFileSync(file, "utf8").matchAll(IMPORT)]
    .map(([, target]) => complaint(file, target))
    .filter((text) => text !== undefined)
    .map((text) => `src/${relative(src, file)} ${text}`),
);
for (const text of complaints) console.error(text);
console.log(
  complaints.length === 0
    ? `floors: ${files.length} files, every import goes down`
    : `floors: ${complaints.length} wrong imports`,
);
process.exitCode = complaints.length === 0 ? 0 : 1;
