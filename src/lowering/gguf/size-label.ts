/** How many parameters a model has, in words (gguf-py/gguf/utility.py of llama.cpp). */

const SIZE_UNITS = [
  [1e12, "T"],
  [1e9, "B"],
  [1e6, "M"],
  [0, "K"],
] as const;

/** The even one of two whole numbers that are equally near, as Python rounds. */
function nearestEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Digits behind the point; ties go to the even digit. Only multiples of an eighth can be ties, and those scale exactly. */
function fixed(value: number, digits: number): string {
  const scale = 10 ** digits;
  const isExact = Number.isInteger(value * 8);
  return isExact ? (nearestEven(value * scale) / scale).toFixed(digits) : value.toFixed(digits);
}

/** Parameters of a model: all, those in stacks of experts, and how many experts a stack has. */
export interface Parameters {
  readonly all: number;
  readonly stacks: number;
  readonly experts: number;
}

/** The size of a model as llama.cpp's file names have it: 7.2B, or 8x7.2B where one of 8 experts and the rest are 7.2B. */
export const sizeLabel = ({ all, stacks, experts }: Parameters): string =>
  experts > 0 ? `${experts}x${roundedCount(all - stacks + stacks / experts)}` : roundedCount(all);

/** A number of parameters with two digits or more: 26K, 7.2B, 70B. */
export function roundedCount(parameters: number): string {
  const [from, unit] = SIZE_UNITS.find(([above]) => parameters > above) ?? SIZE_UNITS[3];
  const scaled = parameters * (from === 0 ? 1e-3 : 1 / from);
  const rounded = nearestEven(scaled);
  return `${fixed(scaled, rounded === 0 ? 2 : rounded < 10 ? 1 : 0)}${unit}`;
}
