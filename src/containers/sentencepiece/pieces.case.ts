/** A tokenizer.model made in code. */
import { PIECE_TYPES, type Piece } from "./read.ts";

const varint = (value: number): number[] => {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) | 0x80);
  }
};

const bytesField = (id: number, bytes: ArrayLike<number>): number[] => [
  ...varint(id * 8 + 2),
  ...varint(bytes.length),
  ...Array.from(bytes),
];

const floatField = (id: number, value: number): number[] => [
  ...varint(id * 8 + 5),
  ...new Uint8Array(Float32Array.of(value).buffer),
];

/** The bytes of one piece's message, with its field. */
export const pieceField = ({ text, score, type }: Piece): number[] =>
  bytesField(1, [
    ...bytesField(1, new TextEncoder().encode(text)),
    ...floatField(2, score),
    ...(type === PIECE_TYPES.normal ? [] : [3 * 8, type]),
  ]);

/** The file of some pieces, with settings behind them as real ones have. */
export const piecesFile = (pieces: readonly Piece[]): Uint8Array =>
  Uint8Array.from([...pieces.flatMap(pieceField), ...bytesField(2, [3 * 8, 2]), ...bytesField(3, [])]);

/** The usual beginning: unknown, begin, end, a byte, and two words. */
export const PIECES: readonly Piece[] = [
  { text: "<unk>", score: 0, type: PIECE_TYPES.unknown },
  { text: "<s>", score: 0, type: PIECE_TYPES.control },
  { text: "</s>", score: 0, type: PIECE_TYPES.control },
  { text: "<0x0A>", score: 0, type: PIECE_TYPES.byte },
  { text: "▁мир", score: -1.5, type: PIECE_TYPES.normal },
  { text: "x", score: -2, type: PIECE_TYPES.userDefined },
];
