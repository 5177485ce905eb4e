/**
 * Just enough of the WebAssembly binary format (core specification 2.0, chapter 5) to write one function by hand: an
 * expression is a list of bytes, made by functions named like the instructions.
 */

export type Code = readonly number[];

/** Unsigned LEB128. */
const leb = (value: number): Code => (value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...leb(value >>> 7)]);

/** Signed LEB128. */
const signedLeb = (value: number): Code =>
  value >= -64 && value < 64 ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signedLeb(value >> 7)];

const floatBytes = (value: number): Code => [...new Uint8Array(Float32Array.of(value).buffer)];

export const TYPES = { i32: 0x7f, f32: 0x7d, v128: 0x7b } as const;
export type ValueType = keyof typeof TYPES;

const plain =
  (opcode: number) =>
  (...operands: readonly Code[]): Code => [...operands.flat(), opcode];

const simd =
  (opcode: number) =>
  (...operands: readonly Code[]): Code => [...operands.flat(), 0xfd, ...leb(opcode)];

export const i32 = {
  const: (value: number): Code => [0x41, ...signedLeb(value)],
  add: plain(0x6a),
  sub: plain(0x6b),
  lt: plain(0x49),
  store: (address: Code, value: Code): Code => [...address, ...value, 0x36, 2, 0],
};

export const f32 = {
  const: (value: number): Code => [0x43, ...floatBytes(value)],
  load: (address: Code, offset: number): Code => [...address, 0x2a, 2, ...leb(offset)],
  add: plain(0x92),
  lt: plain(0x5d),
};

export const f32x4 = {
  zero: [0xfd, 0x0c, ...new Array<number>(16).fill(0)] as Code,
  load: (address: Code): Code => [...address, 0xfd, 0x00, 4, 0],
  splat: simd(0x13),
  lane: (vector: Code, lane: number): Code => [...vector, 0xfd, 0x1f, lane],
  nearest: simd(0x6a),
  add: simd(0xe4),
  sub: simd(0xe5),
  mul: simd(0xe6),
  /** The second where it is smaller, else the first. */
  pmin: simd(0xea),
  /** The second where it is larger, else the first. */
  pmax: simd(0xeb),
};

/** Repeats `body` while `condition` holds behind it. */
export const doWhile = (body: readonly Code[], condition: Code): Code => [
  ...[0x03, 0x40],
  ...body.flat(),
  ...condition,
  ...[0x0d, 0, 0x0b],
];

export const ifThen = (condition: Code, body: readonly Code[]): Code => [
  ...condition,
  0x04,
  0x40,
  ...body.flat(),
  0x0b,
];

/** Parameters first, then locals, numbered in the order of the record. */
export interface Local {
  readonly get: Code;
  set(value: Code): Code;
}

const localAt = (index: number): Local => ({
  get: [0x20, ...leb(index)],
  set: (value) => [...value, 0x21, ...leb(index)],
});

export const locals = <N extends string>(types: Readonly<Record<N, ValueType>>): Readonly<Record<N, Local>> =>
  Object.fromEntries(Object.keys(types).map((name, index) => [name, localAt(index)])) as Record<N, Local>;

const vector = (items: readonly Code[]): Code => [...leb(items.length), ...items.flat()];
const sized = (body: Code): Code => [...leb(body.length), ...body];
const section = (id: number, body: Code): Code => [id, ...sized(body)];
const text = (name: string): Code => sized([...name].map((letter) => letter.charCodeAt(0)));

/** A module that exports one function without result, "run", and its memory of `pages` pages of 64 KiB. */
export function moduleOf(
  parameters: readonly ValueType[],
  inner: readonly ValueType[],
  body: readonly Code[],
  pages: number,
): Uint8Array<ArrayBuffer> {
  const signature: Code = [0x60, ...vector(parameters.map((type) => [TYPES[type]])), 0];
  const declared = vector(inner.map((type) => [1, TYPES[type]]));
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vector([signature])),
    ...section(3, vector([[0]])),
    ...section(5, vector([[0, ...leb(pages)]])),
    ...section(
      7,
      vector([
        [...text("run"), 0, 0],
        [...text("memory"), 2, 0],
      ]),
    ),
    ...section(10, vector([sized([...declared, ...body.flat(), 0x0b])])),
  ]);
}
