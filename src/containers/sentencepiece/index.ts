/** SentencePiece's tokenizer.model. */
export { PIECE_TYPES, type Piece, readPieces } from "./read.ts";
