/** Tensors that stay as they are: their floats have to be finite too. */
import type { StorageType } from "../../ir/tensor-file.ts";
import { fail } from "../../numeric/errors.ts";

/** Where a type has its exponent: all ones there mean NaN or infinity. */
interface Floats {
  readonly bytes: number;
  readonly exponent: number;
  readonly mantissa: number;
  readonly words: (buffer: ArrayBufferLike, offset: number, count: number) => Uint16Array | Uint32Array;
}

const halves: Floats["words"] = (buffer, offset, count) => new Uint16Array(buffer, offset, count);

const FLOATS: Partial<Record<StorageType, Floats>> = {
  float32: {
    ...{ bytes: 4, exponent: 0x7f800000, mantissa: 0x007fffff },
    words: (buffer, offset, count) => new Uint32Array(buffer, offset, count),
  },
  float16: { bytes: 2, exponent: 0x7c00, mantissa: 0x03ff, words: halves },
  bfloat16: { bytes: 2, exponent: 0x7f80, mantissa: 0x007f, words: halves },
};

/**
 * Throws for a value that is NaN or infinite. `first` is the byte of the tensor at which `bytes` begin, at a whole
 * element; types other than floats pass.
 */
export function checkCopied(name: string, type: StorageType, bytes: Uint8Array, first: number): void {
  const row = FLOATS[type];
  if (row === undefined) return;
  const { exponent, mantissa } = row;
  const aligned = bytes.byteOffset % row.bytes === 0 ? bytes : bytes.slice();
  const words = row.words(aligned.buffer, aligned.byteOffset, Math.floor(aligned.length / row.bytes));
  for (let i = 0; i < words.length; i++)
    if ((words[i]! & exponent) === exponent)
      fail(
        "data",
        `tensor "${name}": the value at index ${first / row.bytes + i} is ${(words[i]! & mantissa) === 0 ? "infinite" : "NaN"}; a model needs finite values, so repair the export`,
      );
}
