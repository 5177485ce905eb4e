/** The alphabet in which byte-level tokenizers write bytes (GPT-2's): printable ones as themselves, others from U+0100 up. */

const PRINTABLE: readonly (readonly [number, number])[] = [
  [0x21, 0x7e],
  [0xa1, 0xac],
  [0xae, 0xff],
];
const FIRST_OTHER = 0x100;

const isPrintable = (byte: number): boolean => PRINTABLE.some(([from, to]) => byte >= from && byte <= to);

function alphabet(): ReadonlyMap<string, number> {
  let others = 0;
  const chars = Array.from({ length: 256 }, (_, byte): [string, number] => [
    String.fromCharCode(isPrintable(byte) ? byte : FIRST_OTHER + others++),
    byte,
  ]);
  return new Map(chars);
}

const BYTES = alphabet();
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** A token as text: as it is, unless all of its characters stand for bytes. */
export function decodedToken(token: string): string {
  const bytes = [...token].map((char) => BYTES.get(char));
  return bytes.includes(undefined) ? token : utf8.decode(Uint8Array.from(bytes as number[]));
}

/** Blanks that transformers takes away where `clean_up_tokenization_spaces` is set. */
const CLEANED: readonly (readonly [string, string])[] = [
  ...[".", "?", "!", ","].map((sign) => [` ${sign}`, sign] as const),
  [" ' ", "'"],
  ...["n't", "'m", "'s", "'ve", "'re"].map((end) => [` ${end}`, end] as const),
];

/** A text without blanks before punctuation and contractions. */
export const cleanedUp = (text: string): string => CLEANED.reduce((so, [from, to]) => so.replaceAll(from, to), text);
