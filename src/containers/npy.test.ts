import { expect, test } from "vitest";
import type { NDArray, TypedArray } from "../ir/model.ts";
import { bytesSource } from "../ir/source.ts";
import type { DType } from "../numeric/dtypes.ts";
import { openNpy, parseNpyHeader, readNpy, writeNpy } from "./npy.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** A .npy file with any header, of any version. */
function file(header: string, data: Uint8Array, version = 1): Uint8Array {
  const body = text(header);
  const length = version === 1 ? [body.length & 255, body.length >> 8] : [body.length, 0, 0, 0];
  return Uint8Array.from([0x93, ...text("NUMPY"), version, 0, ...length, ...body, ...data]);
}

const header = (descr: string, shape: string, fortran = "False"): string =>
  `{'descr': ${descr}, 'fortran_order': ${fortran}, 'shape': ${shape}, }\n`;

const open = (bytes: Uint8Array) => openNpy(bytesSource(bytes), "x.npy");

const samples: readonly [DType, TypedArray][] = [
  ["float16", Uint16Array.of(0x3c00, 0xc000)],
  ["float32", Float32Array.of(1.5, -2)],
  ["float64", Float64Array.of(1e300, -2)],
  ["int8", Int8Array.of(-1, 2)],
  ["int16", Int16Array.of(-1000, 2)],
  ["int32", Int32Array.of(-100000, 2)],
  ["int64", BigInt64Array.of(-(2n ** 60n), 2n)],
  ["uint8", Uint8Array.of(255, 2)],
  ["uint16", Uint16Array.of(65535, 2)],
  ["uint32", Uint32Array.of(4294967295, 2)],
  ["uint64", BigUint64Array.of(2n ** 63n, 2n)],
  ["bool", Uint8Array.of(1, 0)],
];

test.each(samples)("%s arrays survive writing and reading", async (dtype, data) => {
  for (const shape of [[2], [1, 2], [2, 1, 1]]) {
    const array: NDArray = { dtype, shape, data };
    expect(await readNpy(bytesSource(writeNpy(array)), "x.npy")).toEqual(array);
  }
});

test("data begins at a multiple of 64 bytes, as NumPy writes it", () => {
  const bytes = writeNpy({ dtype: "float32", shape: [1], data: Float32Array.of(1) });
  expect((bytes.length - 4) % 64).toBe(0);
});

test("rows are read without the rest", async () => {
  const bytes = writeNpy({ dtype: "int32", shape: [4, 2], data: Int32Array.from({ length: 8 }, (_, i) => i) });
  const reads: number[] = [];
  const source = bytesSource(bytes);
  const array = await openNpy(
    {
      ...source,
      read: (offset, length) => {
        reads.push(length);
        return source.read(offset, length);
      },
    },
    "x.npy",
  );
  expect(await array.rows(1, 2)).toEqual({ dtype: "int32", shape: [2, 2], data: Int32Array.of(2, 3, 4, 5) });
  expect(reads.at(-1)).toBe(16);
});

test("headers of all three versions, and with entries in any order and spacing, are read", async () => {
  for (const version of [1, 2, 3])
    expect((await open(file(header("'<f4'", "(1,)"), new Uint8Array(4), version))).shape).toEqual([1]);
  expect(parseNpyHeader("{ 'shape':(3,4),'descr':'|u1' , 'fortran_order':False}", "x")).toEqual({
    dtype: "uint8",
    shape: [3, 4],
    fortran: false,
  });
  expect(parseNpyHeader("{'descr': '<i8', 'fortran_order': False, 'shape': (), }", "x").shape).toEqual([]);
});

const hostile: readonly [what: string, bytes: Uint8Array, message: string][] = [
  ["nothing", new Uint8Array(0), "0 bytes are too few"],
  ["another format", text("not a numpy file at all"), "not a .npy file"],
  ["a version of the future", file(header("'<f4'", "(1,)"), new Uint8Array(4), 4), "format 4.0 is unknown"],
  [
    "code in place of a header",
    file("{'descr': __import__('os').system('true')}", new Uint8Array(4)),
    "not that of a plain array",
  ],
  ["a missing entry", file("{'descr': '<f4', 'shape': (1,), }", new Uint8Array(4)), "not that of a plain array"],
  ["a header that never ends", file("{".repeat(5000), new Uint8Array(4)), "not that of a plain array"],
  ["a structured type", file(header("[('a', '<f4')]", "(1,)"), new Uint8Array(4)), "not that of a plain array"],
  ["Python objects", file(header("'|O'", "(1,)"), new Uint8Array(8)), 'NumPy type "|O" can\'t be fed'],
  ["text", file(header("'<U5'", "(1,)"), new Uint8Array(20)), 'NumPy type "<U5"'],
  ["a property name for a type", file(header("'<constructor'", "(1,)"), new Uint8Array(20)), "can't be fed"],
  ["big-endian numbers", file(header("'>f4'", "(1,)"), new Uint8Array(4)), 'save with array.astype("<f4")'],
  ["Fortran order", file(header("'<f4'", "(2, 2)", "True"), new Uint8Array(16)), "numpy.ascontiguousarray"],
  ["a negative length", file(header("'<f4'", "(-1,)"), new Uint8Array(4)), "not a list of lengths"],
  ["an enormous length", file(header("'<f4'", "(99999999999999999999,)"), new Uint8Array(4)), "not a list of lengths"],
  ["lengths that overflow", file(header("'<f4'", "(9999999999, 9999999999)"), new Uint8Array(4)), "beyond any file"],
  ["too many axes", file(header("'<f4'", `(${"1,".repeat(100)})`), new Uint8Array(4)), "not a list of lengths"],
  ["too little data", file(header("'<f4'", "(3, 2)"), new Uint8Array(20)), "needs 24 bytes, the file holds 20"],
  ["a cut header", file(header("'<f4'", "(3, 2)"), new Uint8Array(0)).subarray(0, 40), "cut short inside its header"],
];

test.each(hostile)("a file with %s is refused in words", async (_, bytes, message) => {
  await expect(open(bytes)).rejects.toThrow(message);
});

test("a header of any announced length is refused before it is read", async () => {
  const bytes = file(header("'<f4'", "(1,)"), new Uint8Array(4), 2);
  bytes.set([0xff, 0xff, 0xff, 0x7f], 8);
  await expect(open(bytes)).rejects.toThrow("a header of 2147483647 bytes; at most 65536 are read");
});

test("cut at any byte, a file is an error and never an array", async () => {
  const bytes = writeNpy({ dtype: "float32", shape: [3], data: Float32Array.of(1, 2, 3) });
  for (let length = 0; length < bytes.length; length++)
    await expect(open(bytes.subarray(0, length))).rejects.toThrow("x.npy");
});

test("Fortran order does not matter where one axis is longer than one", async () => {
  const array = await open(file(header("'<f4'", "(1, 2)", "True"), new Uint8Array(8)));
  expect(array.shape).toEqual([1, 2]);
});
