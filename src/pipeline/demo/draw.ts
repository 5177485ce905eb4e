/** Draws characters as if by hand, to train, calibrate and test the demo's model without any data from outside. */
import type { NDArray } from "../../ir/model.ts";
import { type Rng, rng } from "../../numeric/rng.ts";
import { CLASSES, GLYPHS, type Stroke } from "./glyphs.ts";

/** Pixels of a side. */
export const SIDE = 32;
const PIXELS = SIDE * SIDE;
/** Lines are cut into pieces of at most this length of the unit box, so that they can bend. */
const PIECE = 0.15;

/** How many characters to draw, and which. */
export interface DrawRequest {
  /** Images of one seed are a fixed sequence: a larger `count` adds to it. */
  readonly seed: number;
  readonly count: number;
}

/** Drawn characters with their classes. */
export interface Characters {
  /** float32 [count, 1, 32, 32], from 0 (black) to 1. */
  readonly images: NDArray;
  /** Index into `classes` of each image. */
  readonly labels: Int32Array;
  readonly classes: readonly string[];
}

type Point = readonly [x: number, y: number];
type Warp = (x: number, y: number) => Point;

const between = (random: Rng, low: number, high: number): number => low + (high - low) * random.uniform();

/** Rotation, slant, size and place: from the unit box to pixels. */
function affine(random: Rng): Warp {
  const angle = between(random, -0.3, 0.3);
  const slant = between(random, -0.3, 0.3);
  const height = between(random, 14, 23);
  const width = height * between(random, 0.65, 0.92);
  const left = SIDE / 2 + between(random, -3, 3);
  const top = SIDE / 2 + between(random, -3, 3);
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return (x, y) => {
    const v = (y - 0.5) * height;
    const u = (x - 0.5) * width + slant * v;
    return [left + u * cos - v * sin, top + u * sin + v * cos];
  };
}

/** A slow wave along each axis: the unsteady hand. */
function wobble(random: Rng): Warp {
  const wave = () => {
    const [size, phase] = [between(random, 0, 0.08), between(random, 0, 2 * Math.PI)];
    const [fx, fy] = [between(random, 1, 5), between(random, 1, 5)];
    return (x: number, y: number): number => size * Math.sin(fx * x + fy * y + phase);
  };
  const [dx, dy] = [wave(), wave()];
  return (x, y) => [x + dx(x, y), y + dy(x, y)];
}

/** A pen: half its width and its brightness, in pixels and 0 to 1. */
interface Pen {
  readonly radius: number;
  readonly ink: number;
}

/** Lays a line with round ends over `ink`: each pixel keeps the strongest coverage it has seen. */
function drawLine(ink: Float32Array, [x0, y0]: Point, [x1, y1]: Point, pen: Pen): void {
  const reach = pen.radius + 1;
  const [left, right] = [
    Math.max(0, Math.floor(Math.min(x0, x1) - reach)),
    Math.min(SIDE - 1, Math.max(x0, x1) + reach),
  ];
  const [top, bottom] = [
    Math.max(0, Math.floor(Math.min(y0, y1) - reach)),
    Math.min(SIDE - 1, Math.max(y0, y1) + reach),
  ];
  const [dx, dy] = [x1 - x0, y1 - y0];
  const squared = dx * dx + dy * dy || 1;
  for (let y = top; y <= bottom; y++)
    for (let x = left; x <= right; x++) {
      const t = Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / squared));
      const [ex, ey] = [x - x0 - t * dx, y - y0 - t * dy];
      const covered = pen.ink * Math.min(1, Math.max(0, pen.radius + 0.5 - Math.sqrt(ex * ex + ey * ey)));
      if (covered > ink[y * SIDE + x]!) ink[y * SIDE + x] = covered;
    }
}

/** Draws a stroke, bent by `warp` between its points too. */
function drawStroke(ink: Float32Array, stroke: Stroke, warp: Warp, pen: Pen): void {
  for (let i = 0; i + 3 < stroke.length; i += 2) {
    const [x0, y0, x1, y1] = [stroke[i]!, stroke[i + 1]!, stroke[i + 2]!, stroke[i + 3]!];
    const pieces = Math.max(1, Math.ceil(Math.hypot(x1 - x0, y1 - y0) / PIECE));
    for (let k = 0; k < pieces; k++) {
      const [a, b] = [k / pieces, (k + 1) / pieces];
      drawLine(ink, warp(x0 + (x1 - x0) * a, y0 + (y1 - y0) * a), warp(x0 + (x1 - x0) * b, y0 + (y1 - y0) * b), pen);
    }
  }
}

/** Short stray marks, some as strong as the character. */
function clutter(ink: Float32Array, random: Rng): void {
  for (let left = random.integer(0, 4); left > 0; left--) {
    const [x, y] = [between(random, 0, SIDE), between(random, 0, SIDE)];
    const end: Point = [x + between(random, -7, 7), y + between(random, -7, 7)];
    drawLine(ink, [x, y], end, { radius: between(random, 0.4, 1.2), ink: between(random, 0.4, 1) });
  }
}

/** Ink to light: background, contrast, a slope of brightness, noise; half of the images are dark on bright. */
function develop(ink: Float32Array, into: Float32Array, random: Rng): void {
  const contrast = between(random, 0.2, 0.8) * (random.uniform() < 0.5 ? -1 : 1);
  const paper = contrast > 0 ? between(random, 0, 1 - contrast) : between(random, -contrast, 1);
  const [slopeX, slopeY] = [between(random, -0.008, 0.008), between(random, -0.008, 0.008)];
  const noise = between(random, 0.03, 0.18);
  for (let i = 0; i < PIXELS; i++) {
    const slope = slopeX * ((i % SIDE) - SIDE / 2) + slopeY * (Math.floor(i / SIDE) - SIDE / 2);
    const value = paper + slope + contrast * ink[i]! + noise * grain(random.bits());
    into[i] = Math.min(1, Math.max(0, value));
  }
}

/** Nearly normal, unit variance: the sum of the four bytes of a random word, centred. */
const grain = (bits: number): number =>
  ((bits & 255) + ((bits >>> 8) & 255) + ((bits >>> 16) & 255) + (bits >>> 24) - 510) / 147.8;

function drawCharacter(name: string, into: Float32Array, random: Rng): void {
  const ink = new Float32Array(PIXELS);
  const [place, bend] = [affine(random), wobble(random)];
  const warp: Warp = (x, y) => place(...bend(x, y));
  const pen: Pen = { radius: between(random, 0.55, 1.7), ink: 1 };
  for (const stroke of GLYPHS[name]!) drawStroke(ink, stroke, warp, pen);
  clutter(ink, random);
  develop(ink, into, random);
}

/** Draws `count` characters of random classes; equal requests give equal images. */
export function drawCharacters({ seed, count }: DrawRequest): Characters {
  const random = rng(seed);
  const data = new Float32Array(count * PIXELS);
  const labels = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    labels[i] = random.integer(0, CLASSES.length - 1);
    drawCharacter(CLASSES[labels[i]!]!, data.subarray(i * PIXELS, (i + 1) * PIXELS), random);
  }
  return { images: { dtype: "float32", shape: [count, 1, SIDE, SIDE], data }, labels, classes: CLASSES };
}
