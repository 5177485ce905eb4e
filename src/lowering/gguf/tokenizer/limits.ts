/** What a vocabulary may ask for, checked before memory is taken. */

/** Tokens of a model; the largest vocabularies known have some 600,000. */
export const MAX_TOKENS = 2_000_000;
/** UTF-16 units of one token; real ones stay below 1,000. */
export const MAX_TOKEN_LENGTH = 65_535;
/** Merges of a byte-pair tokenizer; the largest known has some 500,000. */
export const MAX_MERGES = 4_000_000;
