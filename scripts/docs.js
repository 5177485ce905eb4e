/**
 * Fails when something public has no sentence: every export of src/ir, of src/pipeline, and of the files that the public
 * indexes (fewbit, fewbit/node, fewbit/web) hand on.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const FOLDERS = ["src/ir", "src/pipeline"];
const INDEXES = ["src/pipeline/index.ts", "src/node/index.ts", "src/web/index.ts"];
const FROM = /^(?:export|\})[^;]*? from "(\.[^"]+)";/gm;
const EXPORT = /^export (?:declare )?(?:async )?(?:function\*?|const|class|interface|type) (\w+)/;

/** Files an index hands on, one level deep. */
const handedOn = (index) =>
  [...readFileSync(join(ROOT, index), "utf8").matchAll(FROM)].map(([, path]) =>
    relative(ROOT, resolve(ROOT, dirname(index), path)),
  );

/** Exports without a doc comment that ends on the line above. */
function undocumented(path) {
  const lines = readFileSync(join(ROOT, path), "utf8").split("\n");
  return lines.flatMap((line, i) => {
    const name = EXPORT.exec(line)?.[1];
    const above = lines[i - 1] ?? "";
    const documented =
      above.endsWith("*/") || (/^export (?:async )?function/.test(above) && EXPORT.exec(above)?.[1] === name);
    return name === undefined || documented ? [] : [`${path}:${i + 1} ${name}`];
  });
}

const isSource = (name) => name.endsWith(".ts") && !/\.(test|case)\.ts$/.test(name);
const inFolders = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder))
    .filter(isSource)
    .map((name) => `${folder}/${name}`),
);
const files = [...new Set([...inFolders, ...INDEXES.flatMap(handedOn)])].sort();
const missing = files.flatMap(undocumented);
for (const text of missing) console.error(`no sentence: ${text}`);
console.log(`docs: ${files.length} files, ${missing.length} exports without a sentence`);
process.exitCode = missing.length === 0 ? 0 : 1;
