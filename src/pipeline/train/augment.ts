/** Changes to the samples of a batch, drawn anew at every step: the model never sees the same image twice. */
import type { Feeds, NDArray } from "../../ir/model.ts";
import { fail } from "../../numeric/errors.ts";
import type { Rng } from "../../numeric/rng.ts";
import { list } from "../report/format.ts";

/** A change to batches. */
export interface Augment {
  /** Name and settings: two of the same text do the same, which is what a checkpoint goes by. */
  readonly label: string;
  /** The batch as the model and its teacher will see it; must not change the arrays it is given. */
  apply(feeds: Feeds, random: Rng): Feeds | Promise<Feeds>;
}

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
const ofImages = (label: string, change: ImageChange): Augment => ({
  label,
  apply(feeds, random) {
    const entries = Object.entries(feeds);
    if (!entries.some(([, array]) => isImages(array)))
      fail("usage", `augmentation ${label}: the model takes no images (float32 of four axes); leave it out`);
    return Object.fromEntries(
      entries.map(([name, array]) => [name, isImages(array) ? changed(array, change, random) : array]),
    );
  },
});

/** Mirrors half of the images left to right. */
export const flip = (): Augment =>
  ofImages("flip", (from, to, start, image, { uniform }) => {
    const mirrored = uniform() < 0.5;
    const columnOf = (column: number): number => (mirrored ? image.width - 1 - column : column);
    copyFrom(from, to, start, image, (row, column) => row * image.byRow + columnOf(column) * image.byColumn);
  });

/** Moves each image by up to `pixels` in both directions; what comes in from outside is 0. */
export const shift = (pixels = 4): Augment =>
  ofImages(`shift:${pixels}`, (from, to, start, image, { integer }) => {
    const [down, right] = [integer(-pixels, pixels), integer(-pixels, pixels)];
    const { height, width, byRow, byColumn } = image;
    copyFrom(from, to, start, image, (row, column) => {
      const [y, x] = [row - down, column - right];
      return y >= 0 && y < height && x >= 0 && x < width ? y * byRow + x * byColumn : -1;
    });
  });

/** Sets a square of `pixels` at a random place to 0, cut off at the borders (DeVries and Taylor, arXiv:1708.04552). */
export const cutout = (pixels = 8): Augment =>
  ofImages(`cutout:${pixels}`, (from, to, start, image, { integer }) => {
    const { height, width, byRow, byColumn } = image;
    const top = integer(0, height - 1) - (pixels >> 1);
    const left = integer(0, width - 1) - (pixels >> 1);
    const inside = (row: number, column: number): boolean =>
      row >= top && row < top + pixels && column >= left && column < left + pixels;
    copyFrom(from, to, start, image, (row, column) => (inside(row, column) ? -1 : row * byRow + column * byColumn));
  });

const isFloats = ({ dtype }: NDArray): boolean => dtype === "float32";

/** Each sample times its own weight, plus what is left of one times its partner. */
function blended(array: NDArray, partners: readonly number[], weights: readonly number[]): NDArray {
  const from = array.data as Pixels;
  const size = from.length / partners.length;
  const data = new Float32Array(from.length);
  for (const [sample, partner] of partners.entries()) {
    const own = weights[sample]!;
    for (let i = 0, at = sample * size, other = partner * size; i < size; i++)
      data[at + i] = own * from[at + i]! + (1 - own) * from[other + i]!;
  }
  return { ...array, data };
}

/**
 * Blends a share of the samples with others of their batch, all float32 inputs alike (Zhang et al., arXiv:1710.09412). Only a
 * teacher can say what is right for a blend: labels and targets in the batch are an error.
 */
export const mixup = (share = 0.5): Augment => ({
  label: `mixup:${share}`,
  apply(feeds, { uniform, integer }) {
    const right = ["labels", "target"].find((name) => Object.hasOwn(feeds, name));
    if (right !== undefined)
      fail(
        "usage",
        `augmentation mixup: there are no ${right} for blends; learn from the original alone, or leave it out`,
      );
    const floats = Object.entries(feeds).filter(([, array]) => isFloats(array));
    const count = floats[0]?.[1].shape[0] ?? 0;
    if (count === 0) return fail("usage", "augmentation mixup: the model takes no float32 samples; leave it out");
    const weights = Array.from({ length: count }, () => (uniform() < share ? uniform() : 1));
    const partners = Array.from({ length: count }, () => integer(0, count - 1));
    return { ...feeds, ...Object.fromEntries(floats.map(([name, x]) => [name, blended(x, partners, weights)])) };
  },
});

/** One that can be asked for by name, and what may stand behind a colon. */
interface AugmentRow {
  readonly make: (setting?: number) => Augment;
  /** How the setting is written; none is taken where absent. */
  readonly setting?: { readonly says: string; readonly fits: (value: number) => boolean };
}

const MAX_PIXELS = 1024;
const PIXELS: AugmentRow["setting"] = {
  says: `PIXELS, a whole number from 1 to ${MAX_PIXELS}`,
  fits: (value) => Number.isInteger(value) && value >= 1 && value <= MAX_PIXELS,
};
const SHARE: AugmentRow["setting"] = { says: "SHARE, above 0 and at most 1", fits: (value) => value > 0 && value <= 1 };

/** Augmentations by the names that `--augment` takes. */
export const AUGMENTS: Readonly<Record<string, AugmentRow>> = {
  flip: { make: flip },
  shift: { make: shift, setting: PIXELS },
  cutout: { make: cutout, setting: PIXELS },
  mixup: { make: mixup, setting: SHARE },
};

/** "flip", "shift:2", "cutout:16", "mixup:0.5". */
export function augmentNamed(text: string): Augment {
  const [name = "", written] = text.split(":", 2);
  const row = Object.hasOwn(AUGMENTS, name) ? AUGMENTS[name] : undefined;
  if (row === undefined) return fail("usage", `unknown augmentation "${name}"; known: ${list(Object.keys(AUGMENTS))}`);
  if (written === undefined) return row.make();
  const { setting } = row;
  if (setting === undefined) return fail("usage", `augmentation "${text}": ${name} takes no setting; write ${name}`);
  const value = written.trim() === "" ? Number.NaN : Number(written);
  return setting.fits(value)
    ? row.make(value)
    : fail("usage", `augmentation "${text}": expected ${name}:${setting.says}`);
}

/** One after the other. */
export const inOrder = (augments: readonly Augment[]): Augment => ({
  label: augments.map(({ label }) => label).join(","),
  async apply(feeds, random) {
    let current = feeds;
    for (const { apply } of augments) current = await apply(current, random);
    return current;
  },
});
