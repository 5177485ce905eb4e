/** Bytes as printable letters, so that a token is a string without blanks or control signs (GPT-2's table). */

/** Bytes that stand for themselves: printable Latin-1, blanks and the soft hyphen left out. */
const isPlain = (byte: number): boolean =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;

function table(): readonly string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPlain(byte) ? byte : next++));
}

/** The letter of each byte. */
export const BYTE_LETTERS: readonly string[] = table();

const BYTES: ReadonlyMap<string, number> = new Map(BYTE_LETTERS.map((letter, byte) => [letter, byte]));

/** The byte of each letter of a token; undefined where one stands for no byte. */
export function bytesOfToken(token: string): readonly number[] | undefined {
  const bytes = [...token].map((letter) => BYTES.get(letter));
  return bytes.every((byte) => byte !== undefined) ? (bytes as readonly number[]) : undefined;
}
