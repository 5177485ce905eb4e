/** How processes that run models measure their own memory, as CommonJS text; they need `--expose-gc`. */
export const MEMORY_SCRIPT = `
const fs = require("node:fs");

/** On Linux: resident bytes by mapped file; memory of no file is under "". */
const mapped = () => {
  const bytes = {};
  let file = "";
  for (const line of fs.readFileSync("/proc/self/smaps", "utf8").split("\\n")) {
    const start = /^[0-9a-f]+-[0-9a-f]+ \\S+ \\S+ \\S+ \\S+ *(.*)$/.exec(line);
    if (start) file = start[1].startsWith("/") ? start[1] : "";
    const rss = /^Rss: *(\\d+) kB/.exec(line);
    if (rss) bytes[file] = (bytes[file] ?? 0) + Number(rss[1]) * 1024;
  }
  return bytes;
};

/** Resident bytes, and how many of them are code of the engine and of Node: files that were mapped before any model. */
const resident = (before) => {
  globalThis.gc();
  try {
    const now = mapped();
    const files = before ?? Object.keys(now).filter((file) => file !== "");
    const code = files.reduce((sum, file) => sum + (now[file] ?? 0), 0);
    return { total: Object.values(now).reduce((a, b) => a + b, 0), code, files };
  } catch {
    return { total: process.memoryUsage.rss(), code: 0, files: [] };
  }
};
const own = ({ total, code }) => total - code;

/** Linux can forget the peak so far and name the next one; elsewhere the peak of the whole process has to do. */
const forgetPeak = () => {
  try { fs.writeFileSync("/proc/self/clear_refs", "5"); } catch {}
};
const peak = () => {
  try {
    return Number(/VmHWM:\\s*(\\d+)/.exec(fs.readFileSync("/proc/self/status", "utf8"))[1]) * 1024;
  } catch {
    return process.resourceUsage().maxRSS * 1024;
  }
};
`;

/**
 * What the measuring process runs, as CommonJS text for `node -e`: Node 20 can't run TypeScript, and a file of its own
 * would exist in compiled form only.
 */
const MEASURE = `
const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
};

const timed = async (action) => {
  const start = performance.now();
  const result = await action();
  return [performance.now() - start, result];
};

const measure = async (job) => {
  const { open, run } = await start(job);
  globalThis.gc();
  await new Promise((resolve) => setTimeout(resolve, 50));
  const base = resident();
  forgetPeak();
  const [loadMs] = await timed(open);
  const samples = [resident(base.files)];
  const times = [];
  for (let count = 0; job.feeds && count < job.runs; count++) {
    times.push((await timed(run))[0]);
    samples.push(resident(base.files));
  }
  const after = times.length > 0 ? samples.slice(1) : samples;
  return {
    loadMs,
    ...(times.length > 0 ? { firstRunMs: times[0] } : {}),
    residentBytes: Math.max(0, median(after.map(own)) - own(base)),
    peakBytes: Math.max(0, peak() - after.at(-1).code - own(base)),
  };
};

process.once("message", (job) => {
  measure(job)
    .catch((error) => ({ error: String(error?.message ?? error) }))
    .then((answer) => process.send(answer, () => process.disconnect()));
});
`;

/** The whole script. `start` is the text of `const start = async (job) => ({ open, run })` for one family of engines. */
export const probeScript = (start: string): string => `${MEMORY_SCRIPT}${MEASURE}${start}`;
