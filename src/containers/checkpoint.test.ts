import { describe, expect, test } from "vitest";
import type { FewbitError } from "../numeric/errors.ts";
import { rng } from "../numeric/rng.ts";
import { type Checkpoint, checkpointBytes, decodeCheckpoint, encodeCheckpoint } from "./checkpoint.ts";

const sample: Checkpoint = {
  step: 3,
  state: {
    "w/ü": { dtype: "float32", shape: [2, 2], data: Float32Array.of(1, -0, Number.NaN, 1e-42) },
    scale: { dtype: "float32", shape: [], data: Float32Array.of(0.5) },
    none: { dtype: "float32", shape: [0, 3], data: new Float32Array(0) },
  },
  losses: Float32Array.of(3, 2, 1),
  identity: { model: "abc", batch: "64" },
};

const refused = (bytes: Uint8Array): Promise<FewbitError> =>
  decodeCheckpoint(bytes, "run.ckpt").then(
    () => expect.unreachable(),
    (error) => error,
  );

test("what was saved is read back, bit for bit", async () => {
  const bytes = await encodeCheckpoint(sample);
  const found = await decodeCheckpoint(bytes, "run.ckpt");
  expect(found).toEqual(sample);
  expect(Object.is(found.state["w/ü"]!.data[1], -0)).toBe(true);
  expect(bytes.length).toBeGreaterThan(checkpointBytes(sample.state, sample.losses.length));
  // a view into a larger buffer, at an odd place, is read alike
  const shifted = new Uint8Array(bytes.length + 3);
  shifted.set(bytes, 3);
  expect(await decodeCheckpoint(shifted.subarray(3), "run.ckpt")).toEqual(sample);
});

test("a Buffer of Node, whose slices are no copies, is read too", async () => {
  const bytes = await encodeCheckpoint(sample);
  expect(await decodeCheckpoint(Buffer.from(bytes), "run.ckpt")).toEqual(sample);
});

test("state of another type than float32 is refused", async () => {
  const state = { n: { dtype: "int64" as const, shape: [1], data: BigInt64Array.of(1n) } };
  await expect(encodeCheckpoint({ ...sample, state })).rejects.toThrow('"n" is int64, expected float32');
});

describe("a damaged file", () => {
  test("is told from a checkpoint wherever one bit is wrong", async () => {
    const bytes = await encodeCheckpoint(sample);
    for (let at = 0; at < bytes.length; at++) {
      const wrong = bytes.slice();
      wrong[at] = wrong[at]! ^ 0x10;
      expect((await refused(wrong)).code, `byte ${at}`).toBe("format");
    }
  });

  test("is told from a checkpoint wherever it is cut short, and when something is behind it", async () => {
    const bytes = await encodeCheckpoint(sample);
    for (let size = 0; size < bytes.length; size += 5)
      expect((await refused(bytes.slice(0, size))).code).toBe("format");
    const longer = new Uint8Array(bytes.length + 1);
    longer.set(bytes);
    expect((await refused(longer)).message).toMatch(/run\.ckpt: not a checkpoint .* its arrays need/);
  });

  test("is refused before anything is allocated for it", async () => {
    const withHeader = (header: unknown, length?: number): Uint8Array => {
      const text = new TextEncoder().encode(JSON.stringify(header));
      const bytes = new Uint8Array(16 + text.length + 32);
      bytes.set(new TextEncoder().encode("fewbitCP"));
      const view = new DataView(bytes.buffer);
      view.setUint32(8, 1, true);
      view.setUint32(12, length ?? text.length, true);
      bytes.set(text, 16);
      return bytes;
    };
    const header = { step: 0, identity: {}, arrays: [] };
    const array = (shape: unknown) => ({ ...header, arrays: [{ name: "w", shape }] });
    for (const [wrong, why] of [
      [array([2 ** 30, 2 ** 30]), /need 4611686018427388\d+ bytes/],
      [array([-1]), /header is not that/],
      [array([1.5]), /header is not that/],
      [array(Array(65).fill(1)), /header is not that/],
      [array("2"), /header is not that/],
      [{ ...header, step: 1e15 }, /header is not that/],
      [{ ...header, identity: { a: 1 } }, /header is not that/],
      [{ ...header, arrays: [array([]).arrays[0], array([]).arrays[0]] }, /names an array twice/],
      [[], /header is not that/],
      [null, /header is not that/],
    ] as const)
      expect((await refused(withHeader(wrong))).message).toMatch(why);
    expect((await refused(withHeader(header, 2 ** 31))).message).toMatch(/header claims 2147483648 bytes/);
  });

  test("of random bytes never gets further than an error", async () => {
    const { bits, integer } = rng(5);
    const good = await encodeCheckpoint(sample);
    for (let round = 0; round < 200; round++) {
      const wrong = good.slice();
      for (let i = 0; i < 4; i++) wrong[integer(8, wrong.length - 33)] = bits() & 255;
      const error = await decodeCheckpoint(wrong, "x").catch((cause) => cause);
      if (error instanceof Error) expect((error as FewbitError).code).toBe("format");
    }
  });
});
