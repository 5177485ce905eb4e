/** Text in pieces that no token crosses: words with the blank in front of them, numbers, signs, blanks (GPT-2's pattern). */

const PIECES = /'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** The pieces in order; joined they are the text. */
export const piecesOf = (text: string): readonly string[] => text.match(PIECES) ?? [];
