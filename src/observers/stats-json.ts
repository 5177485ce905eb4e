/** Statistics as JSON, for `--stats FILE`. Counts are plain numbers; a run of n empty bins is written as -n. */
import { HISTOGRAM_BINS, type Histogram, type Stats, type ValueStats } from "../ir/stats.ts";
import { fail } from "../numeric/errors.ts";
import { MAX_EXPONENT, MIN_EXPONENT } from "./histogram.ts";

/** A file of a thousand values takes about 40 MB; more than this is not ours. */
export const STATS_MAX_CHARACTERS = 2 ** 29;

function packedCounts(counts: Float64Array): number[] {
  const out: number[] = [];
  for (const count of counts) {
    if (count > 0) out.push(count);
    else if (out.length > 0 && out[out.length - 1]! < 0) out[out.length - 1]!--;
    else out.push(-1);
  }
  return out;
}

const packedValue = ({ histogram, ...rest }: ValueStats): unknown => ({
  ...rest,
  histogram: histogram === null ? null : { exponent: histogram.exponent, counts: packedCounts(histogram.counts) },
});

/** Statistics as JSON text; `parseStats` reads it back to the last bit. */
export const formatStats = (stats: Stats): string =>
  JSON.stringify({
    ...stats,
    values: Object.fromEntries(Object.entries(stats.values).map(([name, value]) => [name, packedValue(value)])),
  });

type Fields = Readonly<Record<string, unknown>>;

const wrong = (where: string, expected: string): never =>
  fail("format", `statistics: ${where} is not ${expected}; calibrate again to make a new file`);

const fields = (value: unknown, where: string): Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : wrong(where, "an object");

const number = (from: Fields, key: string, where: string): number => {
  const value = from[key];
  return typeof value === "number" && Number.isFinite(value) ? value : wrong(`${where}.${key}`, "a finite number");
};

const counter = (from: Fields, key: string, where: string): number => {
  const value = number(from, key, where);
  return Number.isSafeInteger(value) && value >= 0 ? value : wrong(`${where}.${key}`, "a count");
};

function unpackedCounts(packed: unknown, where: string): Float64Array {
  if (!Array.isArray(packed) || packed.length > HISTOGRAM_BINS) return wrong(where, `a list of ${HISTOGRAM_BINS} bins`);
  const counts = new Float64Array(HISTOGRAM_BINS);
  let bin = 0;
  for (const entry of packed as unknown[]) {
    if (!Number.isSafeInteger(entry) || entry === 0) return wrong(where, "made of counts");
    if ((entry as number) > 0) counts[bin++] = entry as number;
    else bin -= entry as number;
    if (bin > HISTOGRAM_BINS) break;
  }
  return bin === HISTOGRAM_BINS ? counts : wrong(where, `a list of ${HISTOGRAM_BINS} bins`);
}

function parseHistogram(value: unknown, count: number, where: string): Histogram | null {
  if (value === null) return count === 0 ? null : wrong(where, `a histogram of ${count} elements`);
  const from = fields(value, where);
  const exponent = number(from, "exponent", where);
  if (!Number.isInteger(exponent) || exponent < MIN_EXPONENT || exponent > MAX_EXPONENT)
    return wrong(`${where}.exponent`, `a whole number from ${MIN_EXPONENT} to ${MAX_EXPONENT}`);
  const counts = unpackedCounts(from.counts, `${where}.counts`);
  const total = counts.reduce((sum, part) => sum + part, 0);
  return total === count ? { exponent, counts } : wrong(where, `a histogram of ${count} elements, it holds ${total}`);
}

function parseValue(value: unknown, where: string): ValueStats {
  const from = fields(value, where);
  const count = counter(from, "count", where);
  const [min, max] = [number(from, "min", where), number(from, "max", where)];
  if (min > max) return wrong(`${where}.min`, `at most max, ${max}`);
  return {
    min,
    max,
    count,
    infinite: counter(from, "infinite", where),
    batches: counter(from, "batches", where),
    batchMin: number(from, "batchMin", where),
    batchMax: number(from, "batchMax", where),
    histogram: parseHistogram(from.histogram, count, `${where}.histogram`),
  };
}

function parseJson(text: string): unknown {
  if (text.length > STATS_MAX_CHARACTERS)
    fail("limit", `statistics: ${text.length} characters are more than the ${STATS_MAX_CHARACTERS} that are read`);
  try {
    return JSON.parse(text);
  } catch (cause) {
    return fail(
      "format",
      `statistics: not JSON (${(cause as Error).message}); calibrate again to make a new file`,
      cause,
    );
  }
}

/** Reads what `formatStats` wrote. Everything is checked; a file that is not one of ours is an error that says where. */
export function parseStats(text: string): Stats {
  const from = fields(parseJson(text), "the file");
  if (from.version !== 1) return wrong("version", "1");
  const { model } = from;
  if (typeof model !== "string" || !/^([0-9a-f]{64})?$/.test(model)) return wrong("model", "a SHA-256 digest or empty");
  const values = Object.entries(fields(from.values, "values")).map(
    ([name, value]) => [name, parseValue(value, `value "${name}"`)] as const,
  );
  return { version: 1, model, samples: counter(from, "samples", "the file"), values: Object.fromEntries(values) };
}
