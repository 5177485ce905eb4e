import { strToU8, zipSync } from "fflate";
import { expect, test } from "vitest";
import { valueInfo } from "../ir/build.ts";
import type { Feeds } from "../ir/model.ts";
import { bytesSource } from "../ir/source.ts";
import type { Dataset } from "./data.ts";
import { writeNpy } from "./npy.ts";
import { npzDataset, openNpz } from "./npz.ts";
import { openZip } from "./npz-zip.ts";

const floats = (shape: number[], start = 0): Uint8Array =>
  writeNpy({
    dtype: "float32",
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => start + i),
  });

const npz = (files: Record<string, Uint8Array>, level: 0 | 6 = 6): Uint8Array => zipSync(files, { level });

const inputs = [valueInfo("a", "float32", ["n", 2]), valueInfo("b", "float32", ["n"])];
const both = { "a.npy": floats([5, 2]), "b.npy": floats([5], 100) };

const collect = async (data: Dataset, size: number): Promise<Feeds[]> => {
  const found: Feeds[] = [];
  for await (const feeds of data.batches(size)) found.push(feeds);
  return found;
};

test.each([0, 6] as const)("inputs are fed together from a file packed at level %d, again and again", async (level) => {
  const data = await npzDataset(bytesSource(npz(both, level)), "x.npz", inputs);
  expect(data).toMatchObject({ length: 5, origin: "x.npz" });
  for (let pass = 0; pass < 2; pass++) {
    const batches = await collect(data, 2);
    expect(batches.map((feeds) => feeds.a!.shape)).toEqual([
      [2, 2],
      [2, 2],
      [1, 2],
    ]);
    expect(batches.flatMap((feeds) => [...(feeds.a!.data as Float32Array)])).toEqual([...Array(10).keys()]);
    expect(batches.flatMap((feeds) => [...(feeds.b!.data as Float32Array)])).toEqual([100, 101, 102, 103, 104]);
  }
});

test("a large deflated array is unpacked while it is read", async () => {
  const rows = 3000;
  const bytes = npz({ "a.npy": floats([rows, 100]) });
  const array = (await openNpz(bytesSource(bytes), "x.npz")).get("a")!;
  for (const first of [0, 1, 1500, 2999, 7]) {
    const { data } = await array.rows(first, 1);
    expect(data[0]).toBe(first * 100);
  }
});

test("arrays saved without names stand for the inputs in order", async () => {
  const data = await npzDataset(
    bytesSource(npz({ "arr_0.npy": both["a.npy"], "arr_1.npy": both["b.npy"] })),
    "x",
    inputs,
  );
  expect(Object.keys((await collect(data, 5))[0]!)).toEqual(["a", "b"]);
});

const misfits: readonly [string, Record<string, Uint8Array>, string][] = [
  [
    "a missing name",
    { "a.npy": both["a.npy"], "bb.npy": both["b.npy"] },
    'no array for input "b", found "a", "bb"; did you mean "bb"?',
  ],
  ["an extra name", { ...both, "y.npy": floats([5]) }, 'array "y" is no input of the model, which takes "a", "b"'],
  ["different lengths", { ...both, "b.npy": floats([4]) }, 'input "a" has 5 samples, but "b" has 4'],
  ["a wrong shape", { ...both, "a.npy": floats([5, 3]) }, 'input "a" takes [n, 2], found [5, 3]: axis 1 must be 2'],
  ["something else inside", { ...both, "readme.txt": strToU8("hi") }, 'holds "readme.txt", expected only .npy arrays'],
];

test.each(misfits)("%s is refused in words", async (_, files, message) => {
  await expect(npzDataset(bytesSource(npz(files)), "x.npz", inputs)).rejects.toThrow(message);
});

/** One stored file with every field in its ZIP64 place, as writers that stream do. */
function zip64(name: string, data: Uint8Array): Uint8Array {
  const title = strToU8(name);
  const u16 = (value: number): number[] => [value & 255, value >> 8];
  const u32 = (value: number): number[] => [...u16(value & 0xffff), ...u16(value >>> 16)];
  const u64 = (value: number): number[] => [...u32(value), 0, 0, 0, 0];
  const full = u32(0xffffffff);
  const sizes = [...u16(1), ...u16(16), ...u64(data.length), ...u64(data.length)];
  const local = [...u32(0x04034b50), ...u16(45), 0, 0, 0, 0, ...u32(0), ...u32(0), ...full, ...full];
  const entry = [...local, ...u16(title.length), ...u16(sizes.length), ...title, ...sizes, ...data];
  const long = [...u16(1), ...u16(24), ...u64(data.length), ...u64(data.length), ...u64(0)];
  const central = [...u32(0x02014b50), ...u16(45), ...u16(45), 0, 0, 0, 0, ...u32(0), ...u32(0), ...full, ...full];
  const tail = [...u16(title.length), ...u16(long.length), ...Array(10).fill(0), ...full, ...title, ...long];
  const bytes = central.length + tail.length;
  const end64 = [...u32(0x06064b50), ...u64(44), ...u16(45), ...u16(45), ...Array(8).fill(0), ...u64(1), ...u64(1)];
  const place = [...u64(bytes), ...u64(entry.length)];
  const locator = [...u32(0x07064b50), ...u32(0), ...u64(entry.length + bytes), ...u32(1)];
  const end = [...u32(0x06054b50), 0, 0, 0, 0, ...u16(0xffff), ...u16(0xffff), ...full, ...full, 0, 0];
  return Uint8Array.from([...entry, ...central, ...tail, ...end64, ...place, ...locator, ...end]);
}

test("ZIP64 directories are read", async () => {
  const arrays = await openNpz(bytesSource(zip64("a.npy", floats([2, 2]))), "x.npz");
  expect((await arrays.get("a")!.rows(1, 1)).data).toEqual(Float32Array.of(2, 3));
});

test("cut at any byte, a .npz is an error", async () => {
  for (const bytes of [npz(both, 0), npz(both), zip64("a.npy", floats([2, 2]))])
    for (let length = 0; length < bytes.length; length += 3)
      await expect(openNpz(bytesSource(bytes.subarray(0, length)), "x.npz"), `${length}`).rejects.toThrow("x.npz");
});

test("any byte changed gives an error or other numbers, never a hang or a crash", async () => {
  const bytes = npz({ "a.npy": floats([5, 2]) });
  for (let at = 0; at < bytes.length; at++) {
    const broken = bytes.slice();
    broken[at]! ^= 0xff;
    const outcome = openNpz(bytesSource(broken), "x.npz").then((arrays) => arrays.get("a")?.rows(0, 5));
    await outcome.catch((error: Error) => expect(error.name, `${at}: ${error.stack}`).toBe("FewbitError"));
  }
});

/** Little-endian fields of the only central entry. */
function patched(bytes: Uint8Array, edit: (central: DataView) => void): Uint8Array {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  const at = view.getUint32(copy.length - 6, true);
  edit(new DataView(copy.buffer, at));
  return copy;
}

test("a bomb is refused: more than deflate can pack, more than is read, more than it claims", async () => {
  const bytes = npz({ "a.npy": floats([5, 2]) });
  const sized = (size: number) => patched(bytes, (view) => view.setUint32(24, size, true));
  await expect(openZip(bytesSource(sized(0xfffffff0)), "x")).rejects.toThrow("bytes can't unpack to 4294967280");
  const small = (await openZip(bytesSource(sized(130)), "x")).get("a.npy")!;
  await expect(small.read(0, 130)).rejects.toThrow("unpacks to more than the 130 bytes it claims");
});

test("encrypted files and unknown methods are refused", async () => {
  const bytes = npz({ "a.npy": floats([5, 2]) });
  await expect(openZip(bytesSource(patched(bytes, (view) => view.setUint16(8, 1, true))), "x")).rejects.toThrow(
    "is encrypted",
  );
  await expect(openZip(bytesSource(patched(bytes, (view) => view.setUint16(10, 93, true))), "x")).rejects.toThrow(
    "ZIP method 93",
  );
});
