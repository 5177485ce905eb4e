/** tokenizer.model: what is in it, and what damaged or hostile ones come to. */
import { expect, test } from "vitest";
import { FewbitError } from "../../numeric/errors.ts";
import { rng } from "../../numeric/rng.ts";
import { MAX_MODEL_BYTES, MAX_PIECE_BYTES } from "./limits.ts";
import { PIECES, pieceField, piecesFile } from "./pieces.case.ts";
import { readPieces } from "./read.ts";

test("pieces come in the order of the file with text, score and type", () => {
  expect(readPieces(piecesFile(PIECES))).toEqual(PIECES);
});

test("fields of other tools are passed over, a missing type is that of ordinary pieces", () => {
  const bare = [0x0a, 3, 0x0a, 1, 0x61];
  const other = [0x7a, 2, 1, 2, 0x80, 0x01, 5];
  expect(readPieces(Uint8Array.from([...other, ...bare]))).toEqual([{ text: "a", score: 0, type: 1 }]);
});

test.each<[string, number[] | Uint8Array, string]>([
  ["an empty file", [], "holds no pieces"],
  ["text", new TextEncoder().encode("version https://git-lfs.github.com"), "tokenizer.model: "],
  ["a piece without text", [0x0a, 0], "piece 0: it has no text"],
  ["a length beyond the file", [0x0a, 0x80, 0x80, 0x80, 0x80, 0x10, 1], "only 1 are left"],
  ["a file that breaks off", piecesFile(PIECES).subarray(0, 20), "tokenizer.model: "],
  ["a type that does not exist", pieceField({ text: "a", score: 0, type: 9 }), "piece 0: type 9 does not exist"],
  ["a score that is no number", pieceField({ text: "a", score: Number.NaN, type: 1 }), "its score is NaN"],
  ["text that is not UTF-8", [0x0a, 3, 0x0a, 1, 0xff], "piece 0: its text is not UTF-8"],
  [
    "a huge piece",
    pieceField({ text: "a".repeat(MAX_PIECE_BYTES + 1), score: 0, type: 1 }),
    "has 65536 bytes; at most",
  ],
])("%s is refused in one sentence", (_, bytes, message) => {
  expect(() => readPieces(Uint8Array.from(bytes))).toThrowError(message);
});

test("a file beyond the limit is refused before it is read", () => {
  expect(() => readPieces({ length: MAX_MODEL_BYTES + 1 } as Uint8Array)).toThrowError("at most");
});

test("3,000 files with changed bytes give an error or pieces", () => {
  const generator = rng(5);
  const random = () => generator.uniform();
  const whole = piecesFile(PIECES);
  for (let run = 0; run < 3000; run++) {
    const bytes = whole.slice(0, random() < 0.3 ? Math.floor(random() * whole.length) : whole.length);
    for (let change = 0; change < 3 && bytes.length > 0; change++)
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    try {
      expect(readPieces(bytes).length).toBeGreaterThan(0);
    } catch (error) {
      expect(error).toBeInstanceOf(FewbitError);
    }
  }
});
