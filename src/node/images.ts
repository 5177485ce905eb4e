/** Image files as model inputs, decoded by `sharp` (an optional package) as they are needed. */
import type { ArraySource } from "../containers/data-arrays.ts";
import type { NDArray, ValueInfo } from "../ir/model.ts";
import { FewbitError, fail } from "../numeric/errors.ts";
import type { ImageOptions } from "./requests.ts";

/** What is used of sharp, https://sharp.pixelplumbing.com (written for 0.35). */
interface Sharp {
  rotate(): Sharp;
  resize(options: { width: number; height: number; fit: "cover" }): Sharp;
  removeAlpha(): Sharp;
  toColourspace(space: "srgb"): Sharp;
  raw(): Sharp;
  toBuffer(options: { resolveWithObject: true }): Promise<{
    readonly data: Uint8Array;
    readonly info: { readonly width: number; readonly height: number; readonly channels: number };
  }>;
}
type SharpModule = (path: string, options: { limitInputPixels: number; failOn: "error" }) => Sharp;

export const IMAGE_EXTENSIONS: ReadonlySet<string> = new Set([
  ".jpg",
  ".jpeg",
  ".png",
  ".webp",
  ".gif",
  ".avif",
  ".tif",
  ".tiff",
]);

/** A decompressed image beyond this is an attack or a mistake: 8192 x 8192. */
const MAX_PIXELS = 2 ** 26;

async function loadSharp(): Promise<SharpModule> {
  const name: string = "sharp";
  try {
    return ((await import(name)) as { default: SharpModule }).default;
  } catch (cause) {
    return fail("unsupported", 'reading images needs the package "sharp"; install it: npm install sharp', cause);
  }
}

/** How pixels become numbers. */
interface Picture {
  readonly height: number;
  readonly width: number;
  readonly channels: 1 | 3;
  readonly layout: "nchw" | "nhwc";
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** Bytes go in as they are; floats are (byte / 255 - mean) / std. */
  readonly raw: boolean;
}

const perChannel = (
  values: readonly number[] | undefined,
  otherwise: number,
  channels: number,
  what: string,
): readonly number[] => {
  const given = values ?? [otherwise];
  if (given.length === channels) return given;
  return given.length === 1
    ? Array.from({ length: channels }, () => given[0]!)
    : fail("usage", `image option ${what} has ${given.length} numbers, the model takes ${channels} channels`);
};

const isChannels = (dim: unknown): dim is 1 | 3 => dim === 1 || dim === 3;

function pictureOf(input: ValueInfo, options: ImageOptions): Picture {
  const { name, shape = [], dtype = "float32" } = input;
  if (shape.length !== 4)
    fail("data", `images need an input of 4 axes, "${name}" takes [${shape.map((dim) => dim ?? "?").join(", ")}]`);
  const layout = options.layout ?? (isChannels(shape[3]) && !isChannels(shape[1]) ? "nhwc" : "nchw");
  const [c, h, w] = layout === "nchw" ? [shape[1], shape[2], shape[3]] : [shape[3], shape[1], shape[2]];
  const channels =
    c === 1
      ? 1
      : typeof c === "number" && c !== 3
        ? fail("data", `images have 1 or 3 channels, "${name}" takes ${c} (layout ${layout})`)
        : 3;
  const height = options.size?.[0] ?? h;
  const width = options.size?.[1] ?? w;
  if (typeof height !== "number" || typeof width !== "number")
    return fail("usage", `the model leaves the image size of "${name}" open; say it with --image size=224`);
  const mean = perChannel(options.mean, 0, channels, "mean");
  const std = perChannel(options.std, 1, channels, "std");
  if (std.some((value) => value === 0)) fail("usage", "image option std must not be zero");
  return { height, width, channels, layout, mean, std, raw: dtype === "uint8" };
}

/** Writes one decoded image (height, width, channels) into its place of the batch. */
function place(out: Float32Array | Uint8Array, at: number, pixels: Uint8Array, picture: Picture): void {
  const { channels, layout, mean, std, raw } = picture;
  const plane = picture.height * picture.width;
  for (let c = 0; c < channels; c++) {
    const [start, stride] = layout === "nchw" ? [at + c * plane, 1] : [at + c, channels];
    const scale = raw ? 1 : 1 / (255 * std[c]!);
    const shift = raw ? 0 : mean[c]! / std[c]!;
    for (let i = 0; i < plane; i++) out[start + i * stride] = pixels[i * channels + c]! * scale - shift;
  }
}

/** Grey of red, green and blue bytes with the weights of ITU-R BT.601, as Pillow and OpenCV do; grey stays what it is. */
function luma(pixels: Uint8Array): Uint8Array {
  const out = new Uint8Array(pixels.length / 3);
  for (let i = 0; i < out.length; i++)
    out[i] = (pixels[3 * i]! * 19595 + pixels[3 * i + 1]! * 38470 + pixels[3 * i + 2]! * 7471 + 32768) >> 16;
  return out;
}

async function decode(sharp: SharpModule, path: string, { height, width, channels }: Picture): Promise<Uint8Array> {
  try {
    const { data, info } = await sharp(path, { limitInputPixels: MAX_PIXELS, failOn: "error" })
      .rotate()
      .resize({ width, height, fit: "cover" })
      .removeAlpha()
      .toColourspace("srgb")
      .raw()
      .toBuffer({ resolveWithObject: true });
    if (info.channels !== 3 || data.length !== height * width * 3)
      fail("format", `${path}: decoded to ${info.width} x ${info.height} x ${info.channels}`);
    return channels === 1 ? luma(data) : data;
  } catch (cause) {
    if (cause instanceof FewbitError) throw cause;
    return fail("format", `${path}: not an image that can be read (${(cause as Error).message})`, cause);
  }
}

/**
 * Images as an array [samples, ...] for one input: upright, scaled to cover the size and cut at the centre, three
 * channels or grey, layout and size from the input where it fixes them. A uint8 input gets the bytes, others
 * (byte / 255 - mean) / std.
 */
export async function imageArray(
  paths: readonly string[],
  input: ValueInfo,
  options: ImageOptions,
  where: string,
): Promise<ArraySource> {
  const picture = pictureOf(input, options);
  const { height, width, channels, layout, raw } = picture;
  const sharp = await loadSharp();
  const sample = layout === "nchw" ? [channels, height, width] : [height, width, channels];
  const length = height * width * channels;
  const dtype = raw ? "uint8" : "float32";
  return {
    dtype,
    shape: [paths.length, ...sample],
    where,
    async rows(first, count): Promise<NDArray> {
      const data = raw ? new Uint8Array(count * length) : new Float32Array(count * length);
      for (let i = 0; i < count; i++) place(data, i * length, await decode(sharp, paths[first + i]!, picture), picture);
      return { dtype, shape: [count, ...sample], data };
    },
  };
}
