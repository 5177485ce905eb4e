/** Options that several commands share, and the parsers of option values. */
import { InvalidArgumentError } from "commander";
import type { DataRequest, EngineRequest, EvaluationRequest, ImageOptions, KeepRule } from "../node/requests.ts";
import { fail } from "../numeric/errors.ts";
import type { GroupSize } from "../recipes/tune.ts";
import type { OptionRow } from "./command.ts";
import type { Services } from "./services.ts";
import { knownName } from "./suggest.ts";

const invalid = (message: string): never => {
  throw new InvalidArgumentError(message);
};

/** A whole number in [min, max]. */
export const integer =
  (min: number, max: number) =>
  (text: string): number => {
    const value = Number(text);
    return text.trim() !== "" && Number.isInteger(value) && value >= min && value <= max
      ? value
      : invalid(`Expected a whole number from ${min} to ${max}.`);
  };

/** A number in [min, max]. */
export const decimal =
  (min: number, max: number) =>
  (text: string): number => {
    const value = Number(text);
    return text.trim() !== "" && value >= min && value <= max
      ? value
      : invalid(`Expected a number from ${min} to ${max}.`);
  };

/** Bytes by unit, in powers of 1000 and of 1024. */
const SIZE_UNITS: Readonly<Record<string, number>> = {
  ...{ "": 1, b: 1, k: 1e3, kb: 1e3, m: 1e6, mb: 1e6, g: 1e9, gb: 1e9, t: 1e12, tb: 1e12 },
  ...{ ki: 2 ** 10, kib: 2 ** 10, mi: 2 ** 20, mib: 2 ** 20, gi: 2 ** 30, gib: 2 ** 30, ti: 2 ** 40, tib: 2 ** 40 },
};

/** 4.2GB, 900MB, 3GiB, or a number of bytes. */
export function byteSize(text: string): number {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?) *([a-z]*)$/i.exec(text.trim()) ?? [];
  const bytes = Math.round(Number(number) * (SIZE_UNITS[unit.toLowerCase()] ?? Number.NaN));
  return bytes > 0 && Number.isSafeInteger(bytes)
    ? bytes
    : invalid(`Expected a size, for example 4.2GB, 900MB or 3GiB, found "${text}".`);
}

const GROUP_SIZES = [16, 32, 64, 128, 256];

/** Block sizes MatMulNBits has kernels for, or a scale for each output channel. */
export function groupSize(text: string): GroupSize {
  if (text === "channel") return text;
  return GROUP_SIZES.includes(Number(text))
    ? Number(text)
    : invalid(`Expected one of ${GROUP_SIZES.join(", ")}, or channel.`);
}

/** "a,b" and repetition both add to one list without doubles. */
export function names(text: string, previous: unknown): readonly string[] {
  const added = text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  if (added.length === 0) invalid("Expected a name, or several with commas between them.");
  return [...new Set([...((previous as readonly string[] | undefined) ?? []), ...added])];
}

/** A regular expression. */
export function regex(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    return invalid(`Not a regular expression: ${error instanceof Error ? error.message : String(error)}.`);
  }
}

function keepRule(text: string): KeepRule {
  const [kind, name] = [text.slice(0, text.indexOf(":")), text.slice(text.indexOf(":") + 1)];
  if ((kind === "op" || kind === "node") && name !== "") return { kind, name };
  return { kind: "regex", pattern: regex(text) };
}

/** A page's file name; anything else might be a model typed in the wrong place. */
export const htmlFile = (text: string): string =>
  /.\.html?$/i.test(text) ? text : invalid("Expected a file name that ends in .html.");

/** Few bits cost most where a model begins and ends. */
export const ENDS: OptionRow = {
  flags: "--ends <scheme>",
  summary: "another scheme for the first and the last layer; w8a8 is customary below 4 bits",
};

/** REGEX, op:NAME or node:NAME; repeatable. */
export const keepRules = (text: string, previous: unknown): readonly KeepRule[] => [
  ...((previous as readonly KeepRule[] | undefined) ?? []),
  keepRule(text),
];

/** The type of tensors whose names match. */
export interface TensorType {
  readonly pattern: RegExp;
  readonly type: string;
}

/** REGEX=TYPE; repeatable. */
export function tensorTypes(text: string, previous: unknown): readonly TensorType[] {
  const at = text.lastIndexOf("=");
  if (at <= 0 || at === text.length - 1)
    return invalid(`Expected REGEX=TYPE, for example attn_v=q8_0, found "${text}".`);
  const added = { pattern: regex(text.slice(0, at)), type: text.slice(at + 1) };
  return [...((previous as readonly TensorType[] | undefined) ?? []), added];
}

/** "size=224,mean=0.5,0.4,0.3" -> entries; a part without "=" continues the list before it. */
function assignments(text: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  let values: string[] | undefined;
  for (const part of text.split(",").map((piece) => piece.trim())) {
    const at = part.indexOf("=");
    if (at > 0) {
      values = [part.slice(at + 1)];
      found.set(part.slice(0, at), values);
    } else if (values === undefined) invalid(`Expected name=value, found "${part}".`);
    else values.push(part);
  }
  return found;
}

const channels = (texts: readonly string[]): readonly number[] => {
  const values = texts.map(Number);
  return values.every(Number.isFinite) && !texts.includes("") ? values : invalid(`Not numbers: ${texts.join(",")}.`);
};

function imageSize(texts: readonly string[]): readonly [number, number] {
  const match = /^(\d{1,5})(?:x(\d{1,5}))?$/.exec(texts.join(","));
  const height = Number(match?.[1] ?? 0);
  if (height === 0) return invalid(`Expected size=PIXELS or size=HEIGHTxWIDTH, found "${texts.join(",")}".`);
  return [height, Number(match?.[2] ?? height)];
}

const IMAGE_FIELDS: { readonly [K in keyof Required<ImageOptions>]: (texts: readonly string[]) => unknown } = {
  size: imageSize,
  layout: ([text]) => (text === "nchw" || text === "nhwc" ? text : invalid("Expected layout=nchw or layout=nhwc.")),
  mean: channels,
  std: channels,
};

/** size=224,layout=nchw,mean=0.485,0.456,0.406,std=0.229,0.224,0.225 */
export function imageOptions(text: string): ImageOptions {
  const fields = [...assignments(text)].map(([name, values]) => {
    if (!Object.hasOwn(IMAGE_FIELDS, name))
      invalid(`Unknown field "${name}"; known: ${Object.keys(IMAGE_FIELDS).join(", ")}.`);
    return [name, IMAGE_FIELDS[name as keyof ImageOptions](values)];
  });
  return Object.fromEntries(fields) as ImageOptions;
}

const MAX_THREADS = 1024;
const MAX_SAMPLES = 1e9;

/** A number of threads. */
export const threadCount = integer(1, MAX_THREADS);

export const ENGINE: OptionRow = {
  flags: "--engine <name>",
  summary: "engine: ort-node (native) or ort-web (WebAssembly); litert or reference for TFLite",
};

export const ENGINE_OPTIONS: readonly OptionRow[] = [
  ENGINE,
  { flags: "--threads <n>", summary: "threads inside one operator", parse: threadCount, otherwise: 1 },
];

export const SAMPLE_OPTIONS: readonly OptionRow[] = [
  {
    flags: "--image <settings>",
    summary: "how images become inputs: size=224,layout=nchw,mean=..,std=..",
    parse: imageOptions,
  },
  { flags: "--samples <n>", summary: "use at most this many samples", parse: integer(1, MAX_SAMPLES) },
  { flags: "--seed <n>", summary: "seed of everything random", parse: integer(0, 2 ** 32 - 1), otherwise: 0 },
];

export const EVALUATION_OPTIONS: readonly OptionRow[] = [
  { flags: "--data <data>", summary: "samples to compare the models on: .npy, .npz, a folder, or random" },
  {
    flags: "--labels <file>",
    summary: "right answers for --data: .npy, .csv, .json, or a folder of images with a sub-folder for each class",
  },
  {
    flags: "--metric <names>",
    summary: "what to measure with --data: top1, top5, agreement, mse, cosine",
    parse: names,
  },
  {
    flags: "--eval <file.js>",
    summary: "your own metric: export default async ({run, model}) => number, higher is better",
  },
];

export const MAX_DROP: OptionRow = {
  flags: "--max-drop <percent>",
  summary: "the accuracy you allow to lose, in percent points; exit code 3 when more is lost",
  parse: decimal(0, 100),
};

export interface EngineFlags {
  readonly engine?: string;
  readonly threads: number;
}

export interface SampleFlags {
  readonly image?: ImageOptions;
  readonly samples?: number;
  readonly seed: number;
}

export interface EvaluationFlags extends SampleFlags {
  readonly data?: string;
  readonly labels?: string;
  readonly metric?: readonly string[];
  readonly eval?: string;
}

/** The fields that have a value: absent options are absent keys. */
export const present = <T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };

/** The known name for a typed one, where one was typed. */
export const optionalName = (what: string, typed: string | undefined, known: readonly string[]): string | undefined =>
  typed === undefined ? undefined : knownName(what, typed, known);

export const engineRequest = ({ engine, threads }: EngineFlags, { names: known }: Services): EngineRequest => ({
  threads,
  ...present({ engine: optionalName("engine", engine, known.engines) }),
});

export const dataRequest = (path: string, { image, samples, seed }: SampleFlags): DataRequest => ({
  path,
  seed,
  ...present({ image, samples }),
});

/** Undefined when nothing to evaluate on was named. */
export function evaluationRequest(flags: EvaluationFlags, { names: known }: Services): EvaluationRequest | undefined {
  const { data, labels, metric, eval: script } = flags;
  if (data === undefined && (labels !== undefined || metric !== undefined))
    fail("usage", `${labels === undefined ? "--metric" : "--labels"} needs samples; name them with --data`);
  if (data === undefined && script === undefined) return undefined;
  return {
    metrics: (metric ?? []).map((name) => knownName("metric", name, known.metrics)),
    ...present({ data: data === undefined ? undefined : dataRequest(data, flags), labels, script }),
  };
}
