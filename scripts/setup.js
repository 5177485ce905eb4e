/**
 * Makes a checkout usable: checks Node, installs what package-lock.json names, builds dist/. Does nothing, and needs no
 * network, when all of it is there. Notes go to stderr, so that a command's own output stays clean.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("..", import.meta.url));
const at = (...parts) => join(ROOT, ...parts);
const WINDOWS = process.platform === "win32";

/** A failure with a sentence for people; the stack says nothing more. */
export class SetupError extends Error {}

/** Throws when this Node is older than the `engines` field of package.json asks for. */
export function checkNode(version = process.versions.node) {
  const wanted = JSON.parse(readFileSync(at("package.json"), "utf8")).engines.node.replace(">=", "");
  const [major, minor] = version.split(".").map(Number);
  const [wantedMajor, wantedMinor] = wanted.split(".").map(Number);
  if (major < wantedMajor || (major === wantedMajor && minor < wantedMinor))
    throw new SetupError(`fewbit needs Node ${wanted} or newer and this is Node ${version}; see https://nodejs.org`);
}

/** Why `npm ci` must run: the first package whose installed version is not the locked one; undefined when all fit. */
export function missingPackage(folder = ROOT) {
  const installed = join(folder, "node_modules", ".package-lock.json");
  if (!existsSync(installed)) return "node_modules is missing";
  const have = JSON.parse(readFileSync(installed, "utf8")).packages;
  const locked = Object.entries(JSON.parse(readFileSync(join(folder, "package-lock.json"), "utf8")).packages);
  const differs = ([path, { version, optional }]) => path !== "" && !optional && have[path]?.version !== version;
  const found = locked.find(differs);
  return found && `${found[0]} is not version ${found[1].version}`;
}

/** Newest change below `path`, deleted and added files included (they touch their folder); tests are not built. */
function newest(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return /\.(test|case)\.ts$/.test(path) ? 0 : stat.mtimeMs;
  return readdirSync(path).reduce((time, name) => Math.max(time, newest(join(path, name))), stat.mtimeMs);
}

/** Why dist/ must be built; undefined when it is newer than everything it is made from. */
export function staleBuild() {
  const marker = at("dist", "program", "run.js");
  if (!existsSync(marker)) return "dist is missing";
  const built = statSync(marker).mtimeMs;
  const changed = ["src", "scripts/bundle.js", "tsconfig.json", "tsconfig.build.json"].find(
    (name) => newest(at(name)) > built,
  );
  return changed && `${changed} is newer than dist`;
}

function run(command, args, remedy, cwd = ROOT) {
  // npm is a .cmd file on Windows, which only a shell can start; stdout of the child goes to stderr.
  const { status, error } = spawnSync(command, args, { cwd, stdio: ["ignore", 2, 2], shell: WINDOWS });
  if (status !== 0)
    throw new SetupError(`"${command} ${args.join(" ")}" failed${error ? ` (${error.message})` : ""}; ${remedy}`);
}

/** Installs exactly what the lock names. */
export function install() {
  run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], "check the network and run it again");
}

/** Has llama.cpp for the tests of GGUF where its binaries are for this machine; without it those tests say why they skip. */
export function ensureLlama() {
  const note = (text) => process.stderr.write(`setup: ${text}\n`);
  const folder = at("tests", "llama");
  if (process.platform !== "linux" || process.arch !== "x64" || missingPackage(folder) === undefined) return;
  note("installing llama.cpp for the tests of GGUF (30 MB on disk, once)");
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  try {
    run("npm", args, "tests that run GGUF are skipped", folder);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    note(error.message);
  }
}

/** Compiles src/ into a new dist/ and bundles the command line; when there are type errors the old one stays. */
export function build() {
  const [fresh, tsc] = [at("dist.new"), at("node_modules", "typescript", "bin", "tsc")];
  rmSync(fresh, { recursive: true, force: true });
  const args = [tsc, "-p", "tsconfig.build.json", "--noEmitOnError", "--outDir", fresh];
  const node = WINDOWS ? `"${process.execPath}"` : process.execPath;
  run(node, args, "fix the errors above");
  run(node, [at("scripts", "bundle.js"), fresh], "fix the errors above");
  rmSync(at("dist"), { recursive: true, force: true });
  renameSync(fresh, at("dist"));
}

/** Makes everything ready and says what it does, or exits with one sentence. */
export function ensureReady() {
  const note = (text) => process.stderr.write(`setup: ${text}\n`);
  try {
    checkNode();
    const missing = missingPackage();
    if (missing) {
      note(`${missing}; running npm ci (about 700 MB on disk, once)`);
      install();
    }
    const stale = staleBuild();
    if (stale) {
      note(`${stale}; building it`);
      build();
    }
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    note(error.message);
    process.exit(1);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) ensureReady();
