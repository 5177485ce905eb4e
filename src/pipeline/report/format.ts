/** Numbers as people read them; used by the page and by the terminal, so that both say the same. */
import type { Metric } from "../result.ts";

/** Three significant digits without an exponent: 0.0123, 1.23, 12.3, 123, 1234. */
export function digits(value: number): string {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return String(value);
  if (size >= 99.95) return value.toFixed(0);
  if (size >= 9.995) return value.toFixed(1);
  if (size >= 0.9995 || size === 0) return value.toFixed(2);
  return size < 1e-4 ? value.toExponential(1) : value.toPrecision(3);
}

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB"] as const;

/** Decimal units, as file managers and the field's papers use: 312 kB, 1.25 MB. */
export function bytes(count: number): string {
  let unit = 0;
  let value = count;
  while (Math.abs(value) >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : digits(value)} ${BYTE_UNITS[unit]}`;
}

/** A duration given in milliseconds. */
export const milliseconds = (ms: number): string => (ms >= 1000 ? `${digits(ms / 1000)} s` : `${digits(ms)} ms`);

/** "3.42x"; an unknown ratio (0) is a dash. */
export const times = (ratio: number): string =>
  ratio === 0 ? "-" : `${ratio.toFixed(ratio < 9.995 ? 2 : ratio < 99.95 ? 1 : 0)}x`;

/** A share from 0 to 1 as percent with two decimals; whole numbers without. */
export function percent(share: number): string {
  const text = (share * 100).toFixed(2);
  return `${text.endsWith(".00") ? text.slice(0, -3) : text} %`;
}

export const decibels = (db: number | null): string => (db === null ? "exact" : `${db.toFixed(1)} dB`);

/** Cosine similarity: as many nines as there are, up to seven decimals. */
export const cosine = (value: number): string =>
  value.toFixed(value > 0.999 ? 6 : 4).replace(/^(-?\d\.\d{4}\d*?)0+$/, "$1");

export const metricValue = (metric: Metric, value: number): string =>
  metric.unit === "share" ? `${(value * 100).toFixed(2)} %` : digits(value);

/** "+0.12" or "-0.12": percent points for shares. */
export function metricChange(metric: Metric): string {
  const change = metric.after - metric.before;
  const text = metric.unit === "share" ? (change * 100).toFixed(2) : digits(change);
  if (Number(text) === 0) return "±0";
  return change > 0 ? `+${text}` : text;
}

/** 1,234,567. The runtime's own way loads its tables of languages first, which takes 20 ms. */
const grouped = (value: number): string => String(value).replace(/\B(?=(?:\d{3})+$)/g, ",");

/** A whole number of things. */
export const count = (value: number, one: string, many = `${one}s`): string =>
  `${grouped(value)} ${value === 1 ? one : many}`;

/** Items as a sentence part: "a", "a and b", "a, b and c". */
export const list = (items: readonly string[], last = "and"): string =>
  items.length < 2 ? (items[0] ?? "") : `${items.slice(0, -1).join(", ")} ${last} ${items.at(-1)}`;

/** A long name with its middle left out. */
export const shorten = (name: string, length: number): string =>
  name.length <= length
    ? name
    : `${name.slice(0, Math.ceil((length - 1) / 2))}…${name.slice(name.length - Math.floor((length - 1) / 2))}`;

/** A count that fits an axis or a cell: 950, 12.3k, 4.56M. */
export const compact = (value: number): string =>
  value >= 999_500 ? `${digits(value / 1e6)}M` : value >= 9_950 ? `${digits(value / 1000)}k` : String(value);

const DISTURBING = /(?![\t\n])[\p{Cc}\u202a-\u202e\u2066-\u2069\ufffe\uffff]/gu;

/** Names come from files: characters that move a cursor, reorder text or have no place in HTML become U+FFFD. */
export const printable = (text: string): string => text.replace(DISTURBING, "\ufffd");
