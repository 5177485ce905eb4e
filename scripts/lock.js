/**
 * Rewrites package-lock.json after package.json changed. Registries that carry only some platforms leave the others
 * out of the lock, and `npm ci` then refuses it; this adds the missing entries from the exact versions named by their owner.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

const LOCK = new URL("../package-lock.json", import.meta.url);
const SYSTEMS = ["aix", "android", "darwin", "freebsd", "linux", "netbsd", "openbsd", "openharmony", "sunos", "win32"];
const EXACT = /^\d+\.\d+\.\d+$/;

/** Entry of a platform package, from a name like `@scope/cli-linux-x64-musl`. */
function platformEntry(name, version, owner) {
  const words = name.split("/").at(-1).split("-");
  const at = words.findIndex((word) => SYSTEMS.includes(word));
  if (at < 0 || !EXACT.test(version))
    throw new Error(`${name}@${version} is missing from the lock and its platform is unknown`);
  const libc = words[at] !== "linux" ? undefined : words.includes("musl") ? ["musl"] : ["glibc"];
  return {
    version,
    cpu: [words[at + 1]],
    ...(owner.dev && { dev: true }),
    ...(libc && { libc }),
    optional: true,
    os: [words[at]],
  };
}

const npm = spawnSync("npm", ["install", "--package-lock-only", "--omit-lockfile-registry-resolved"], {
  cwd: new URL("..", import.meta.url),
  stdio: "inherit",
  shell: process.platform === "win32",
});
if (npm.status !== 0) process.exit(1);

const lock = JSON.parse(readFileSync(LOCK, "utf8"));
const added = Object.values(lock.packages).flatMap((owner) =>
  Object.entries(owner.optionalDependencies ?? {})
    .filter(([name]) => lock.packages[`node_modules/${name}`] === undefined)
    .map(([name, version]) => [`node_modules/${name}`, platformEntry(name, version, owner)]),
);
const entries = [...Object.entries(lock.packages), ...added].sort(([a], [b]) => (a < b ? -1 : 1));
writeFileSync(LOCK, `${JSON.stringify({ ...lock, packages: Object.fromEntries(entries) }, null, 2)}\n`);
console.log(`package-lock.json: ${entries.length} entries, ${added.length} of them added for other platforms`);
