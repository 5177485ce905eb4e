/** What a user of the npm package gets: the right files, exports that load, and a lock that installs everywhere. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { publint } from "publint";
import { beforeAll, describe, expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname, "..");
const MEGABYTE = 2 ** 20;
const SHELL = process.platform === "win32";

const readJson = (name: string) => JSON.parse(readFileSync(join(ROOT, name), "utf8"));
const node = (...args: string[]): string => execFileSync(process.execPath, args, { cwd: ROOT, encoding: "utf8" });

interface Tarball {
  readonly files: readonly { readonly path: string; readonly size: number }[];
  readonly size: number;
  readonly unpackedSize: number;
}

/** Paths and sizes that `npm pack` would put into the tarball. */
function packed(): Tarball {
  const args = ["pack", "--dry-run", "--json", "--ignore-scripts", "--loglevel=error"];
  const answer: unknown = JSON.parse(execFileSync("npm", args, { cwd: ROOT, encoding: "utf8", shell: SHELL }));
  return Object.values(answer as Record<string, Tarball>)[0] as Tarball;
}

interface LockEntry {
  readonly version?: string;
  readonly resolved?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const manifest = readJson("package.json");
const exported: readonly (readonly [string, { types: string; default: string }])[] = Object.entries(
  manifest.exports as Record<string, string | { types: string; default: string }>,
).filter((entry): entry is [string, { types: string; default: string }] => typeof entry[1] !== "string");

beforeAll(() => void node("scripts/setup.js"), 300_000);

describe("the packed files", () => {
  const ALLOWED =
    /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|bin\/fewbit\.js|demo\/[a-z-]+\.onnx|docs\/recipe\.schema\.json|dist\/.+\.(js|d\.ts|wasm))$/;
  const FORBIDDEN = /\.(test|case)\./;

  test("are the program, its types, the demo's model and the papers, nothing else", () => {
    const strange = packed().files.filter(({ path }) => !ALLOWED.test(path) || FORBIDDEN.test(path));
    expect(strange).toEqual([]);
  });

  test("hold what a user needs first", () => {
    const paths = packed().files.map(({ path }) => path);
    const needed = ["README.md", "LICENSE", "CHANGELOG.md", "bin/fewbit.js", "demo/characters.onnx"];
    expect(paths).toEqual(expect.arrayContaining(needed));
  });

  test("stay small: under 2 MB to download, under 6 MB on disk", () => {
    const { size, unpackedSize } = packed();
    expect(size).toBeLessThan(2 * MEGABYTE);
    expect(unpackedSize).toBeLessThan(6 * MEGABYTE);
  });
});

describe("the exports", () => {
  test.each(exported)("%s names files that the build makes", (_, { types, default: code }) => {
    expect(existsSync(join(ROOT, types)), types).toBe(true);
    expect(existsSync(join(ROOT, code)), code).toBe(true);
  });

  test.each(exported)("%s loads with import and with require", (name) => {
    const id = JSON.stringify(`fewbit${name.slice(1)}`);
    const count = `(module) => console.log(Object.keys(module).length)`;
    expect(Number(node("--input-type=module", "-e", `import(${id}).then(${count})`))).toBeGreaterThan(0);
    expect(Number(node("--no-warnings", "-e", `(${count})(require(${id}))`))).toBeGreaterThan(0);
  });

  test("publint has nothing to say", async () => {
    const { messages } = await publint({ pkgDir: ROOT, strict: true });
    expect(messages).toEqual([]);
  });
});

describe("the build", () => {
  /** `program` is what `cli` and `node` are bundled into. */
  const NODE_FOLDERS = ["cli", "node", "program"];
  const IMPORT = /(?:from|import)\s*\(?\s*["']([^"']+)["']/g;
  const dist = join(ROOT, "dist");
  const scripts = () =>
    readdirSync(dist, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".js"))
      .map((name) => ({ name, text: readFileSync(join(dist, name), "utf8") }));

  test("imports node: modules only in cli/, node/ and the bundle of both", () => {
    const core = scripts().filter(({ name }) => !NODE_FOLDERS.includes(name.split(/[\\/]/)[0] ?? ""));
    const wrong = core.filter(({ text }) =>
      [...text.matchAll(IMPORT)].some(([, target]) => target?.startsWith("node:")),
    );
    expect(wrong.map(({ name }) => name)).toEqual([]);
  });

  test("holds no tests, and every relative import ends in .js", () => {
    expect(scripts().filter(({ name }) => /\.(test|case)\.js$/.test(name))).toEqual([]);
    const wrong = scripts().filter(({ text }) =>
      [...text.matchAll(IMPORT)].some(([, to]) => /^\.{1,2}\/.*\.ts$/.test(to ?? "")),
    );
    expect(wrong.map(({ name }) => name)).toEqual([]);
  });
});

describe("the lock", () => {
  const packages: Readonly<Record<string, LockEntry>> = readJson("package-lock.json").packages;

  test("names no registry, so that it installs behind any mirror", () => {
    expect(Object.values(packages).filter((entry) => entry.resolved !== undefined)).toEqual([]);
  });

  test("holds every platform's package; npm ci refuses a lock that does not", () => {
    const wanted = Object.values(packages).flatMap((entry) => Object.keys(entry.optionalDependencies ?? {}));
    expect(wanted.filter((name) => packages[`node_modules/${name}`]?.version === undefined)).toEqual([]);
  });

  test("fits package.json, where every dependency is pinned to one version", () => {
    for (const kind of ["dependencies", "optionalDependencies", "devDependencies"]) {
      const pins: Readonly<Record<string, string>> = manifest[kind];
      for (const [name, version] of Object.entries(pins)) {
        expect(version, name).toMatch(/^\d+\.\d+\.\d+$/);
        expect(packages[`node_modules/${name}`]?.version, name).toBe(version);
      }
    }
  });
});
