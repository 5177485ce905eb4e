/** The shapes of the demo's characters: strokes in a unit box, x to the right and y down. */

/** x and y of the points of one pen stroke, in turn. */
export type Stroke = readonly number[];

/** Points of an ellipse's arc, angles in quarter turns: 0 is right, 1 is down, 2 is left, 3 is up. */
const arc = (cx: number, cy: number, rx: number, ry: number, from: number, to: number): Stroke => {
  const steps = Math.ceil(Math.abs(to - from) * 3);
  return Array.from({ length: steps + 1 }, (_, i) => {
    const angle = ((from + ((to - from) * i) / steps) * Math.PI) / 2;
    return [cx + rx * Math.cos(angle), cy + ry * Math.sin(angle)];
  }).flat();
};

const line = (...points: number[]): Stroke => points;

/** One pen stroke through the points of several. */
const join = (...parts: readonly Stroke[]): Stroke => parts.flat();

/** Pairs that even people mix up are here on purpose: 0 O D, 1 I 7 T, 2 Z, 5 S, 8 B, 6 C. */
export const GLYPHS: Readonly<Record<string, readonly Stroke[]>> = {
  "0": [arc(0.5, 0.5, 0.27, 0.5, 3, 7)],
  "1": [line(0.3, 0.22, 0.55, 0, 0.55, 1)],
  "2": [join(arc(0.5, 0.27, 0.35, 0.27, 2.1, 4.3), line(0.12, 1, 0.9, 1))],
  "3": [join(arc(0.45, 0.25, 0.33, 0.25, 2.3, 5), arc(0.45, 0.75, 0.38, 0.25, 3, 5.7))],
  "4": [line(0.7, 1, 0.7, 0, 0.1, 0.68, 0.95, 0.68)],
  "5": [join(line(0.82, 0, 0.22, 0, 0.18, 0.45), arc(0.48, 0.68, 0.36, 0.32, 2.8, 5.6))],
  "6": [join(arc(0.75, 0.55, 0.6, 0.55, 3, 2.2), arc(0.5, 0.7, 0.34, 0.3, 2, 6))],
  "7": [line(0.1, 0, 0.88, 0, 0.4, 1)],
  "8": [arc(0.5, 0.25, 0.29, 0.25, 1, 5), arc(0.5, 0.75, 0.36, 0.25, 3, 7)],
  "9": [join(arc(0.5, 0.3, 0.34, 0.3, 0, 4), line(0.84, 0.3, 0.7, 1))],
  A: [line(0.05, 1, 0.5, 0, 0.95, 1), line(0.22, 0.63, 0.78, 0.63)],
  B: [
    line(0.15, 0, 0.15, 1),
    join(line(0.15, 0), arc(0.5, 0.24, 0.32, 0.24, 3, 5), line(0.15, 0.48)),
    join(line(0.15, 0.48), arc(0.52, 0.74, 0.36, 0.26, 3, 5), line(0.15, 1)),
  ],
  C: [arc(0.55, 0.5, 0.45, 0.5, 3.5, 0.5)],
  D: [line(0.15, 0, 0.15, 1), join(line(0.15, 0), arc(0.45, 0.5, 0.45, 0.5, 3, 5), line(0.15, 1))],
  E: [line(0.85, 0, 0.15, 0, 0.15, 1, 0.85, 1), line(0.15, 0.5, 0.7, 0.5)],
  F: [line(0.85, 0, 0.15, 0, 0.15, 1), line(0.15, 0.48, 0.7, 0.48)],
  H: [line(0.12, 0, 0.12, 1), line(0.88, 0, 0.88, 1), line(0.12, 0.5, 0.88, 0.5)],
  I: [line(0.5, 0, 0.5, 1), line(0.28, 0, 0.72, 0), line(0.28, 1, 0.72, 1)],
  K: [line(0.15, 0, 0.15, 1), line(0.85, 0, 0.15, 0.58), line(0.4, 0.4, 0.88, 1)],
  L: [line(0.2, 0, 0.2, 1, 0.85, 1)],
  N: [line(0.12, 1, 0.12, 0, 0.88, 1, 0.88, 0)],
  O: [arc(0.5, 0.5, 0.44, 0.5, 3, 7)],
  P: [line(0.15, 1, 0.15, 0), join(line(0.15, 0), arc(0.5, 0.27, 0.36, 0.27, 3, 5), line(0.15, 0.54))],
  S: [join(arc(0.5, 0.25, 0.34, 0.25, 3.6, 1), arc(0.5, 0.75, 0.36, 0.25, 3, 5.7))],
  T: [line(0.5, 0, 0.5, 1), line(0.05, 0, 0.95, 0)],
  Z: [line(0.1, 0, 0.9, 0, 0.1, 1, 0.9, 1)],
};

/** Class names in label order. */
export const CLASSES: readonly string[] = Object.keys(GLYPHS);
