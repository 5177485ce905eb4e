/** Where tensors go in files of external data. */
import type { Tensor } from "../../ir/model.ts";
import type { ByteSource } from "../../ir/source.ts";
import { safeLocation } from "../safe-path.ts";

export interface ExternalOptions {
  /** File name of the data, relative to the model: "model.onnx_data". */
  readonly location: string;
  /** Smallest tensor, in bytes, that leaves the model; 1024 by default, as in the onnx Python package. */
  readonly threshold?: number;
  /** Most bytes of one data file; what does not fit goes to `location` + "_1", "_2", ... */
  readonly maxBytes?: number;
}

export interface Spot {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

/** One data file: its parts lie in order, with zeros between. */
export interface DataFile {
  readonly name: string;
  size: number;
  readonly parts: { readonly offset: number; readonly data: ByteSource }[];
}

const DEFAULT_THRESHOLD = 1024;

/**
 * ONNX Runtime maps tensors into memory rather than reading them only where their offset is a multiple of the system's
 * mapping granularity, 64 KiB on Windows and 4 KiB elsewhere, and aligns tensors above 1 MiB when it writes itself. The
 * same here: at most 6 % of padding. Smaller tensors start on a cache line.
 */
const LARGE = { above: 1024 * 1024, align: 64 * 1024 };
const SMALL_ALIGN = 64;

const aligned = (offset: number, size: number): number => {
  const unit = size > LARGE.above ? LARGE.align : SMALL_ALIGN;
  return Math.ceil(offset / unit) * unit;
};

export interface ExternalLayout {
  readonly files: readonly DataFile[];
  /** The place of a tensor's data, or undefined where it stays in the model. */
  place(tensor: Tensor): Spot | undefined;
}

/** Gives each tensor from the threshold on a place; data that several tensors share is stored once. */
export function externalLayout(options: ExternalOptions): ExternalLayout {
  const base = safeLocation(options.location, "onnx");
  const threshold = options.threshold ?? DEFAULT_THRESHOLD;
  const most = options.maxBytes ?? Number.POSITIVE_INFINITY;
  const files: DataFile[] = [];
  const known = new Map<ByteSource, Spot>();
  const nextFile = (): DataFile => {
    const made: DataFile = { name: files.length === 0 ? base : `${base}_${files.length}`, size: 0, parts: [] };
    files.push(made);
    return made;
  };
  const append = (data: ByteSource): Spot => {
    let file = files.at(-1) ?? nextFile();
    if (file.size > 0 && aligned(file.size, data.size) + data.size > most) file = nextFile();
    const offset = aligned(file.size, data.size);
    file.parts.push({ offset, data });
    file.size = offset + data.size;
    return { location: file.name, offset, length: data.size };
  };
  return {
    files,
    place({ dtype, data }) {
      if (dtype === "string" || data.size === 0 || data.size < threshold) return undefined;
      const spot = known.get(data) ?? append(data);
      known.set(data, spot);
      return spot;
    },
  };
}
