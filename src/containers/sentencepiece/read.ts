/** tokenizer.model of SentencePiece: a protobuf whose first field holds the pieces (sentencepiece_model.proto). */
import { fail } from "../../numeric/errors.ts";
import { utf8Text } from "../json.ts";
import { BYTES, type Cursor, cursor, FIXED32, type Field, field, payload, VARINT } from "../onnx/wire.ts";
import { MAX_MODEL_BYTES, MAX_PIECE_BYTES, MAX_PIECES } from "./limits.ts";

/** What a piece is for, by its number in the file; 1 where the file is silent. */
export const PIECE_TYPES = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** One entry of the vocabulary. */
export interface Piece {
  readonly text: string;
  /** Logarithm of its probability, or minus the order in which it was merged. */
  readonly score: number;
  /** A number of `PIECE_TYPES`. */
  readonly type: number;
}

/** Numbers of fields: of the model, and of a piece. */
const PIECES = 1;
const [TEXT, SCORE, TYPE] = [1, 2, 3];
const TYPES = new Set<number>(Object.values(PIECE_TYPES));

const fieldsOf = function* (at: Cursor): Iterable<Field> {
  while (at.pos < at.end) yield field(at);
};

const floatOf = (bits: number): number => new Float32Array(Uint32Array.of(bits).buffer)[0]!;

function textOf(found: Field, where: string): string {
  const bytes = payload(found);
  if (bytes.length > MAX_PIECE_BYTES)
    fail("limit", `${where}: its text has ${bytes.length} bytes; at most ${MAX_PIECE_BYTES} are read`);
  return utf8Text(bytes, where);
}

function typeOf({ lo, hi }: Field, where: string): number {
  if (hi !== 0 || !TYPES.has(lo)) fail("format", `${where}: type ${lo} does not exist; the file is damaged`);
  return lo;
}

function readPiece(bytes: Uint8Array, base: number, where: string): Piece {
  const found = { text: "", score: 0, type: PIECE_TYPES.normal as number };
  for (const inner of fieldsOf(cursor(bytes, 0, bytes.length, base, where)))
    if (inner.id === TEXT && inner.wire === BYTES) found.text = textOf(inner, where);
    else if (inner.id === SCORE && inner.wire === FIXED32) found.score = floatOf(inner.lo);
    else if (inner.id === TYPE && inner.wire === VARINT) found.type = typeOf(inner, where);
  if (found.text === "") fail("format", `${where}: it has no text; the file is damaged`);
  if (!Number.isFinite(found.score)) fail("format", `${where}: its score is ${found.score}; the file is damaged`);
  return found;
}

/**
 * The pieces of a tokenizer.model in the order of their numbers; `where` begins messages. Fails with code "format" on
 * damage, "limit" beyond what real ones have.
 */
export function readPieces(bytes: Uint8Array, where = "tokenizer.model"): readonly Piece[] {
  if (bytes.length > MAX_MODEL_BYTES)
    fail("limit", `${where}: ${bytes.length} bytes; at most ${MAX_MODEL_BYTES} are read`);
  const pieces: Piece[] = [];
  for (const found of fieldsOf(cursor(bytes, 0, bytes.length, 0, where))) {
    if (found.id !== PIECES || found.wire !== BYTES) continue;
    if (pieces.length === MAX_PIECES)
      fail("limit", `${where}: more than ${MAX_PIECES} pieces; it is damaged or hostile`);
    pieces.push(readPiece(payload(found), found.offset, `${where}: piece ${pieces.length}`));
  }
  if (pieces.length === 0) fail("format", `${where}: it holds no pieces; it is damaged or no model of SentencePiece`);
  return pieces;
}
