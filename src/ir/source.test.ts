/** Sources behind each other read as one. */
import { expect, test } from "vitest";
import { bytesSource, computedSource, joinedSource, readAll } from "./source.ts";

const parts = [[1, 2, 3], [], [4], [5, 6]].map((values) => bytesSource(Uint8Array.from(values)));

test("every range of joined sources is that of their bytes in a row", async () => {
  const joined = joinedSource(parts);
  expect([joined.size, joined.seekable]).toEqual([6, true]);
  const all = [1, 2, 3, 4, 5, 6];
  for (let from = 0; from <= 6; from++)
    for (let to = from; to <= 6; to++)
      expect([...(await joined.read(from, to - from))], `${from} to ${to}`).toEqual(all.slice(from, to));
});

test("a range within one source is read from there without a copy", async () => {
  expect((await joinedSource(parts).read(1, 2)).buffer).toBe(parts[0]!.bytes!.buffer);
});

test("ranges outside are an error, nothing joined is empty, and one part that can't be read in parts tells for all", async () => {
  await expect(joinedSource(parts).read(5, 2)).rejects.toThrow("lie outside a source of 6 bytes");
  await expect(joinedSource(parts).read(-1, 2)).rejects.toThrow("lie outside");
  expect(await readAll(joinedSource([]))).toEqual(new Uint8Array());
  expect(joinedSource([...parts, computedSource(1, () => Uint8Array.of(7))]).seekable).toBeUndefined();
});
