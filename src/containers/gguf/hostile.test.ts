/** Damaged and hostile GGUF files: one error each, or a file; never a crash, a hang, or gigabytes of memory. */
import { expect, test } from "vitest";
import { bytesSource, readAll } from "../../ir/source.ts";
import { FewbitError } from "../../numeric/errors.ts";
import { rng } from "../../numeric/rng.ts";
import { changed, contentOf, damaged, filesByName, tensor, tensorMap } from "../tensor-files.case.ts";
import { cat, fromBytes, handMade, info, kv, richFile, smallFile, str, toBytes, u32, u64 } from "./files.case.ts";
import { encodeGguf, readGguf } from "./index.ts";
import { MAX_DEPTH, MAX_HEADER_BYTES, MAX_TEXTS } from "./limits.ts";

/** The error of reading, or undefined when a sound file came out; anything but a `FewbitError` fails the test. */
async function errorOf(bytes: Uint8Array): Promise<FewbitError | undefined> {
  try {
    const file = await fromBytes(bytes);
    for (const { data } of file.tensors.values()) await readAll(data);
    expect(await contentOf(await fromBytes(await toBytes(changed(file))))).toEqual(await contentOf(file));
    return undefined;
  } catch (error) {
    if (error instanceof FewbitError) return error;
    throw error;
  }
}

test("a file cut at any byte gives one error that says it is not whole", async () => {
  const bytes = await toBytes(smallFile);
  const end = bytes.length - 30; // the padding behind the last tensor may be missing
  for (let cut = 0; cut < end; cut++) {
    const error = await errorOf(bytes.subarray(0, cut));
    expect(error?.code, `cut at ${cut}`).toBe("format");
    expect(error?.message, `cut at ${cut}`).toMatch(/truncated|damaged/);
  }
  for (let cut = end; cut <= bytes.length; cut++) expect(await errorOf(bytes.subarray(0, cut))).toBeUndefined();
});

test("500 files with a damaged header give an error or a file that is written and read again", async () => {
  const files = [await toBytes(richFile), await toBytes(smallFile)];
  const random = rng(11).uniform;
  let errors = 0;
  for (let i = 0; i < 500; i++) {
    const bytes = files[i % files.length]!;
    if (await errorOf(damaged(bytes, Math.min(bytes.length, 1200), random))) errors++;
  }
  expect(errors).toBeGreaterThan(250);
  expect(errors).toBeLessThan(500);
});

const U32_TYPE = 4;
const ARRAY_TYPE = 9;
const huge = 2n ** 64n - 1n;
const head = (version: number, ...rest: readonly Uint8Array[]): Uint8Array =>
  cat(Buffer.from("GGUF"), u32(version), ...rest, new Uint8Array(64));
const alignment = (value: number): Uint8Array => kv("general.alignment", U32_TYPE, u32(value));
const w = (type: number, lengths: readonly (number | bigint)[] = [4], offset: number | bigint = 0): Uint8Array =>
  info("w", lengths, type, offset);
const nested = (depth: number): Uint8Array =>
  cat(...Array.from({ length: depth }, () => cat(u32(ARRAY_TYPE), u64(1))), u32(0), u64(1), Uint8Array.of(1));

test.each<[string, Uint8Array, string, RegExp]>([
  ["another magic", cat(Buffer.from("GGML"), new Uint8Array(60)), "format", /does not begin with "GGUF"/],
  ["version 1", head(1), "unsupported", /version 1 can't be read; expected 2 or 3/],
  ["version 4", head(4), "unsupported", /version 4 can't be read/],
  ["version 0", head(0), "unsupported", /version 0 can't be read/],
  ["big-endian version 3", head(0x03000000), "unsupported", /big-endian \(version 3\)/],
  ["too many tensors", head(3, u64(huge), u64(0)), "limit", /claims 18446744073709552000 tensors/],
  ["more tensors than bytes", head(3, u64(9999), u64(0)), "format", /claims 9999 tensors, more than its 88 bytes/],
  ["too many keys", head(3, u64(0), u64(huge)), "limit", /keys; at most/],
  ["more keys than bytes", head(3, u64(0), u64(999)), "format", /claims 999 keys, more than/],
  ["a key of absurd length", head(3, u64(0), u64(1), u64(huge)), "limit", /key 0 at byte 32 claims/],
  [
    "a key that is not UTF-8",
    head(3, u64(0), u64(1), u64(2), Uint8Array.of(0xff, 0xff)),
    "format",
    /key 0 .* is not UTF-8/,
  ],
  ["an empty key", handMade([kv("", U32_TYPE, u32(1))], []), "format", /key 0 is empty/],
  [
    "a key twice",
    handMade([kv("a", U32_TYPE, u32(1)), kv("a", U32_TYPE, u32(1))], []),
    "format",
    /key "a" occurs twice/,
  ],
  ["an unknown value type", handMade([kv("a", 13, u64(1))], []), "format", /key "a" has value type 13/],
  ["an unknown element type", handMade([kv("a", ARRAY_TYPE, u32(77), u64(1))], []), "format", /value type 77/],
  ["a bool that is 2", handMade([kv("a", 7, Uint8Array.of(2))], []), "format", /bool of key "a" is 2/],
  [
    "an array of bools with 7",
    handMade([kv("a", ARRAY_TYPE, u32(7), u64(2), Uint8Array.of(1, 7))], []),
    "format",
    /is 7/,
  ],
  ["a text beyond the file", handMade([kv("a", 8, u64(1000))], []), "format", /needs 1000 bytes, but only/],
  ["a text beyond the limit", handMade([kv("a", 8, u64(huge))], []), "limit", /claims .* bytes; at most/],
  [
    "an array beyond the file",
    handMade([kv("a", ARRAY_TYPE, u32(6), u64(1n << 40n))], []),
    "format",
    /claims 1099511627776/,
  ],
  [
    "texts beyond the file",
    handMade([kv("a", ARRAY_TYPE, u32(8), u64(huge))], []),
    "format",
    /more than the .* bytes left/,
  ],
  [
    "arrays beyond the file",
    handMade([kv("a", ARRAY_TYPE, u32(9), u64(1n << 33n))], []),
    "format",
    /bytes left can hold/,
  ],
  ["arrays that nest deeper", handMade([kv("a", ARRAY_TYPE, nested(MAX_DEPTH))], []), "limit", /nest deeper than 8/],
  ["alignment 0", handMade([alignment(0)], []), "format", /"general.alignment" is 0, expected a power of two/],
  ["alignment 48", handMade([alignment(48)], []), "format", /is 48, expected a power of two/],
  ["alignment 2^30", handMade([alignment(2 ** 30)], []), "limit", /at most 2097152/],
  [
    "alignment as text",
    handMade([kv("general.alignment", 8, str("32"))], []),
    "format",
    /of type string, expected uint32/,
  ],
  ["a removed type", handMade([], [w(4)], 64), "unsupported", /tensor "w" has type 4, which ggml .* no longer has/],
  ["an unknown type", handMade([], [w(99)], 64), "unsupported", /has type 99/],
  [
    "five dimensions",
    handMade([], [w(0, [1, 1, 1, 1, 1])], 64),
    "limit",
    /tensor "w" has 5 dimensions; ggml has at most 4/,
  ],
  ["a length beyond 2^53", handMade([], [w(0, [huge])], 64), "limit", /length beyond 2\^53/],
  ["lengths that multiply beyond", handMade([], [w(0, [2 ** 30, 2 ** 30])], 64), "limit", /multiply beyond any file/],
  [
    "rows that are no whole blocks",
    handMade([], [w(2, [33])], 64),
    "format",
    /rows of 33 elements are no whole number of q4_0 blocks of 32/,
  ],
  ["a row of a scalar block", handMade([], [w(2, [])], 64), "format", /rows of 1 elements/],
  [
    "an offset off the alignment",
    handMade([], [w(0, [4], 8)], 64),
    "format",
    /starts at byte 8 of the data, no multiple of 32/,
  ],
  ["an offset outside", handMade([], [w(0, [4], 64)], 64), "format", /needs bytes 64 to 80 of the data, which has 64/],
  ["an offset beyond 2^53", handMade([], [w(0, [4], huge - 31n)], 64), "format", /of the data, which has 64/],
  ["data that is missing", handMade([], [w(0, [100])], 64), "format", /needs bytes 0 to 400 of the data, which has 64/],
  [
    "overlapping tensors",
    handMade([], [w(0, [16]), info("v", [4], 0, 32)], 64),
    "format",
    /"w" and "v" overlap at byte 32/,
  ],
  ["two tensors of one name", handMade([], [w(0), w(0, [4], 32)], 64), "format", /two tensors are named "w"/],
  ["a tensor's name of absurd length", handMade([], [u64(huge)], 64), "limit", /name of tensor 0 at byte 32 claims/],
  [
    "more texts than allowed",
    handMade([cat(str("a"), u32(9), u32(8), u64(MAX_TEXTS + 1), new Uint8Array(8 * (MAX_TEXTS + 1)))], []),
    "limit",
    /4000001; at most 4000000/,
  ],
])("%s: one clear error", async (_, bytes, code, message) => {
  const error = await errorOf(bytes);
  expect(error?.message).toMatch(message);
  expect(error?.message).toMatch(/^gguf: /);
  expect(error?.code).toBe(code);
});

test("what is allowed at the edge is read: gaps, zero tensors, arrays as deep as allowed", async () => {
  expect(await errorOf(handMade([], [w(0, [4], 32), info("v", [4], 0, 96)], 112))).toBeUndefined();
  expect(await errorOf(handMade([], []))).toBeUndefined();
  expect(await errorOf(handMade([kv("a", ARRAY_TYPE, nested(MAX_DEPTH - 1))], []))).toBeUndefined();
});

test("a header that never ends is given up at the limit, not loaded", async () => {
  const claimed = 2 ** 40;
  let read = 0;
  const start = cat(Buffer.from("GGUF"), u32(3), u64(0), u64(1), str("a"), u32(9), u32(0), u64(claimed / 2));
  const source = {
    size: claimed,
    async read(offset: number, length: number) {
      read += length;
      const bytes = new Uint8Array(length);
      bytes.set(start.subarray(offset, offset + length));
      return bytes;
    },
  };
  await expect(readGguf(source)).rejects.toThrowError(`longer than ${MAX_HEADER_BYTES} bytes`);
  expect(read).toBeLessThan(2 * MAX_HEADER_BYTES);
});

test("files of a split that don't fit together are refused", async () => {
  const tensors = tensorMap(
    tensor("a", "float32", [100]),
    tensor("b", "float32", [100]),
    tensor("c", "float32", [100]),
  );
  const files = [...(await filesByName(encodeGguf({ ...smallFile, tensors }, { maxBytes: 700 }))).values()];
  const [first, second, third] = files.map(bytesSource);
  expect(files.length).toBe(3);
  const read = (head = first!, ...others: readonly (typeof first)[]) =>
    readGguf(head, { shard: async (no) => others[no - 1]! });
  expect((await read(first, second, third)).tensors.size).toBe(3);
  await expect(readGguf(first!)).rejects.toThrowError("this is 1 of 3 files");
  await expect(read(second, second, third)).rejects.toThrowError(
    "this is file 2 of 3; open the one that ends in -00001-of",
  );
  await expect(read(first, third, second)).rejects.toThrowError("file 2 of 3 says it is 3 of 3");
  await expect(read(first, bytesSource(await toBytes(smallFile)), third)).rejects.toThrowError(
    "says it is a whole model",
  );
  const other = [
    ...(
      await filesByName(encodeGguf({ ...smallFile, tensors: new Map([...tensors].reverse()) }, { maxBytes: 700 }))
    ).values(),
  ];
  await expect(read(first, second, bytesSource(other[2]!))).rejects.toThrowError(
    'tensor "a" is in two of the model\'s files',
  );
});

test.each<[string, Uint8Array, RegExp]>([
  ["no number", kv("split.no", 2, Uint8Array.of(5, 0)), /"split.no" is 5 with 3 files/],
  ["a text", kv("split.no", 8, str("x")), /"split.no" is of type string/],
])("keys of a split with %s are refused", async (_, entry, message) => {
  const error = await errorOf(handMade([kv("split.count", 2, Uint8Array.of(3, 0)), entry], []));
  expect(error?.message).toMatch(message);
});

test("what can't be written is refused with the name of the tensor or key", () => {
  const encode = (name: string, type: Parameters<typeof tensor>[1], shape: readonly number[]) => () =>
    encodeGguf({ ...smallFile, tensors: tensorMap(tensor(name, type, shape)) });
  expect(encode("m", "uint8", [4])).toThrowError('tensor "m" is uint8, which ggml has no type for');
  expect(encode("m", "float32", [1, 1, 1, 1, 1])).toThrowError("5 dimensions");
  const short = { name: "s", type: "float32", shape: [4], data: bytesSource(new Uint8Array(15)) } as const;
  expect(() => encodeGguf({ ...smallFile, tensors: tensorMap(short) })).toThrowError(
    "15 bytes, but float32 of shape [4] takes 16",
  );
  const metadata = new Map([["k", { type: "uint8", value: 256 } as const]]);
  expect(() => encodeGguf({ ...smallFile, metadata })).toThrowError('key "k": 256 is no uint8');
  expect(() => encodeGguf(smallFile, { maxBytes: 0 })).toThrowError("give a size above 0");
});
