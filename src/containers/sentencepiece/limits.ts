/** What a tokenizer.model may ask for, checked before memory is taken. */

/** Vocabularies of 262,000 pieces take some 5 MiB. */
export const MAX_MODEL_BYTES = 128 * 1024 * 1024;
/** The largest vocabularies known have some 600,000 pieces. */
export const MAX_PIECES = 2_000_000;
/** Bytes of one piece; real ones stay below 100. */
export const MAX_PIECE_BYTES = 65_535;
