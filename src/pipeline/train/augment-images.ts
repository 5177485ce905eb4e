/** Changes to images: each is drawn for itself, all channels of it alike, in either layout. */
import type { NDArray } from "../../ir/model.ts";
import { fail } from "../../numeric/errors.ts";
import type { Rng } from "../../numeric/rng.ts";
import type { Augment, Makes } from "./augment.ts";

/** One image of a batch: where it starts, and how far apart its rows, columns and channels are. */
interface Image {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly byChannel: number;
  readonly byRow: number;
  readonly byColumn: number;
}

type Pixels = Float32Array;
/** Draws what happens to one image and writes it from `from` to `to`, both at `start`. */
type ImageChange = (from: Pixels, to: Pixels, start: number, image: Image, random: Rng) => void;

/** Numbers of channels that images have. */
const CHANNELS = new Set([1, 2, 3, 4]);

/** Layout of [batch, ...]: channels first unless only the last axis can be channels. */
function layoutOf([, a = 0, b = 0, c = 0]: readonly number[]): Image {
  const last = CHANNELS.has(c) && !CHANNELS.has(a);
  return last
    ? { channels: c, height: a, width: b, byChannel: 1, byRow: b * c, byColumn: c }
    : { channels: a, height: b, width: c, byChannel: b * c, byRow: c, byColumn: 1 };
}

/** Calls `visit` for each pixel of each channel with the offset it is written to and that of the pixel at (row, column). */
function copyFrom(
  from: Pixels,
  to: Pixels,
  start: number,
  image: Image,
  source: (row: number, column: number) => number,
): void {
  for (let row = 0; row < image.height; row++)
    for (let column = 0; column < image.width; column++) {
      const offset = source(row, column);
      const at = start + row * image.byRow + column * image.byColumn;
      for (let channel = 0; channel < image.channels; channel++)
        to[at + channel * image.byChannel] = offset < 0 ? 0 : from[start + offset + channel * image.byChannel]!;
    }
}

const changed = (array: NDArray, change: ImageChange, random: Rng): NDArray => {
  const image = layoutOf(array.shape);
  const size = image.channels * image.height * image.width;
  const from = array.data as Pixels;
  const data = new Float32Array(from.length);
  for (let start = 0; start < from.length; start += size) change(from, data, start, image, random);
  return { ...array, data };
};

const isImages = ({ dtype, shape }: NDArray): boolean => dtype === "float32" && shape.length === 4;

/** The same change for every float32 input of four axes; a batch without any is an error. */
const ofImages = (label: string, makes: Makes, change: ImageChange): Augment => ({
  label,
  makes,
  apply(feeds, view, sample = view) {
    const random = { view, sample }[makes];
    const entries = Object.entries(feeds);
    if (!entries.some(([, array]) => isImages(array)))
      fail("usage", `augmentation ${label}: the model takes no images (float32 of four axes); leave it out`);
    return Object.fromEntries(
      entries.map(([name, array]) => [name, isImages(array) ? changed(array, change, random) : array]),
    );
  },
});

const between = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);

/** Mirrors half of the images left to right. */
export const flip = (): Augment =>
  ofImages("flip", "view", (from, to, start, image, { uniform }) => {
    const mirrored = uniform() < 0.5;
    const columnOf = (column: number): number => (mirrored ? image.width - 1 - column : column);
    copyFrom(from, to, start, image, (row, column) => row * image.byRow + columnOf(column) * image.byColumn);
  });

/** Moves each image by up to `pixels` in both directions; outside of the image its border goes on. */
export const shift = (pixels = 4): Augment =>
  ofImages(`shift:${pixels}`, "view", (from, to, start, image, { integer }) => {
    const [down, right] = [integer(-pixels, pixels), integer(-pixels, pixels)];
    const { height, width, byRow, byColumn } = image;
    copyFrom(from, to, start, image, (row, column) => {
      const [y, x] = [between(row - down, 0, height - 1), between(column - right, 0, width - 1)];
      return y * byRow + x * byColumn;
    });
  });

/** Sets a square of `pixels` at a random place to 0, cut off at the borders (DeVries and Taylor, arXiv:1708.04552). */
export const cutout = (pixels = 8): Augment =>
  ofImages(`cutout:${pixels}`, "view", (from, to, start, image, { integer }) => {
    const { height, width, byRow, byColumn } = image;
    const top = integer(0, height - 1) - (pixels >> 1);
    const left = integer(0, width - 1) - (pixels >> 1);
    const inside = (row: number, column: number): boolean =>
      row >= top && row < top + pixels && column >= left && column < left + pixels;
    copyFrom(from, to, start, image, (row, column) => (inside(row, column) ? -1 : row * byRow + column * byColumn));
  });

/** A number between -1 and 1. */
const aroundZero = ({ uniform }: Rng): number => 2 * uniform() - 1;

/** Two neighbours on an axis of `length` pixels, what lies outside being its last pixel, and the share of the second. */
function neighbours(position: number, length: number): readonly [number, number, number] {
  const inside = between(position, 0, length - 1);
  const first = Math.min(Math.floor(inside), Math.max(length - 2, 0));
  return [first, Math.min(first + 1, length - 1), inside - first];
}

/**
 * Turns, scales, stretches and shears each image about its middle: a linear map each of whose four coefficients is off by up
 * to `share`, once for all views. Pixels are interpolated linearly; outside of the image its border goes on.
 */
export const warp = (share = 0.2): Augment =>
  ofImages(`warp:${share}`, "sample", (from, to, start, image, random) => {
    const off = () => share * aroundZero(random);
    const [a, b, c, d] = [1 + off(), off(), off(), 1 + off()];
    const { channels, height, width, byRow, byColumn, byChannel } = image;
    const [middle, center] = [(height - 1) / 2, (width - 1) / 2];
    for (let row = 0; row < height; row++)
      for (let column = 0; column < width; column++) {
        const [y, x] = [row - middle, column - center];
        const [top, bottom, below] = neighbours(middle + a * y + b * x, height);
        const [left, right, beside] = neighbours(center + c * y + d * x, width);
        for (let channel = 0; channel < channels; channel++) {
          const first = start + channel * byChannel;
          const at = (i: number, j: number): number => from[first + i * byRow + j * byColumn]!;
          const upper = (1 - beside) * at(top, left) + beside * at(top, right);
          const lower = (1 - beside) * at(bottom, left) + beside * at(bottom, right);
          to[first + row * byRow + column * byColumn] = (1 - below) * upper + below * lower;
        }
      }
  });

/** What the pixels of one image have in common. */
interface Tones {
  readonly mean: number;
  readonly deviation: number;
  readonly low: number;
  readonly high: number;
}

function tonesOf(from: Pixels, start: number, size: number): Tones {
  let [sum, squares, low, high] = [0, 0, from[start]!, from[start]!];
  for (let at = start; at < start + size; at++) {
    const value = from[at]!;
    sum += value;
    squares += value * value;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const mean = sum / size;
  return { mean, deviation: Math.sqrt(Math.max(squares / size - mean * mean, 0)), low, high };
}

/**
 * Changes contrast, saturation and brightness of each image: how far pixels are from their mean and from their gray by up to
 * `share` of it, all of them by up to twice `share` of their standard deviation, once for all views. No pixel leaves the range of
 * its image.
 */
export const color = (share = 0.2): Augment =>
  ofImages(`color:${share}`, "sample", (from, to, start, image, random) => {
    const { channels, height, width, byRow, byColumn, byChannel } = image;
    const { mean, deviation, low, high } = tonesOf(from, start, channels * height * width);
    const off = () => share * aroundZero(random);
    const [contrast, saturation, brightness] = [1 + off(), 1 + off(), 2 * off() * deviation];
    for (let row = 0; row < height; row++)
      for (let column = 0; column < width; column++) {
        const first = start + row * byRow + column * byColumn;
        let gray = 0;
        for (let channel = 0; channel < channels; channel++) gray += from[first + channel * byChannel]! / channels;
        for (let channel = 0; channel < channels; channel++) {
          const at = first + channel * byChannel;
          const vivid = gray + saturation * (from[at]! - gray);
          to[at] = between(mean + brightness + contrast * (vivid - mean), low, high);
        }
      }
  });
