/** What every implementation of ggml's formats must do. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { sha256 } from "../../numeric/sha256.ts";
import { EXPECTED } from "./expected.case.ts";
import { GGML_FORMAT_NAMES, type GgmlFormatName, type GgmlFormats, ggmlBytes } from "./formats.ts";
import { COLUMNS, ROWS, SAMPLES, WEIGHTS } from "./samples.case.ts";

const GOLDEN = resolve(import.meta.dirname, "../../../../shared/data/gguf-golden");
const INDEX = join(GOLDEN, "index.json");
const reason = existsSync(INDEX) ? undefined : `no ${INDEX}`;

interface Entry {
  readonly type: string;
  readonly typeId: number;
  readonly blockSize: number;
  readonly blockBytes: number;
  readonly input: string;
  readonly inputFile: string;
  readonly rows: number;
  readonly cols: number;
  readonly imatrix: string | null;
  readonly file: string | null;
  readonly aborts?: boolean;
  readonly dequant: { sha256: string; nonFinite: number; headOffset: number; sampleOffset: number };
}

const bytesOf = (file: string): Uint8Array<ArrayBuffer> => new Uint8Array(readFileSync(join(GOLDEN, file)));
const floatsOf = (file: string): Float32Array => new Float32Array(bytesOf(file).buffer);
const rawOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

const entriesOf = (): readonly Entry[] => JSON.parse(readFileSync(INDEX, "utf8")).entries;
const typeOf = ({ type }: Entry): GgmlFormatName => type.toLowerCase() as GgmlFormatName;
const label = ({ input, cols, imatrix }: Entry): string => `${input}, ${cols} columns, ${imatrix ?? "no importance"}`;

/** Values as the sums of ggml's output know them: every NaN is alike. */
const classes = (values: Float32Array): string[] => Array.from(values, String);

/** Index of the first differing byte, -1 for equal ones. */
const firstDifference = (found: Uint8Array, wanted: Uint8Array): number =>
  found.length === wanted.length ? found.findIndex((byte, i) => byte !== wanted[i]) : 0;

function expectEncoded(formats: GgmlFormats, entry: Entry): void {
  const type = typeOf(entry);
  const out = new Uint8Array(ggmlBytes(type, entry.rows * entry.cols));
  const importance = entry.imatrix === null ? undefined : floatsOf(entry.imatrix);
  const refused = formats[type].encode(floatsOf(entry.inputFile), out, entry.rows, entry.cols, importance);
  expect(refused >= 0, `${label(entry)}: stops`).toBe(entry.aborts === true);
  if (entry.file === null) return;
  expect(firstDifference(out, bytesOf(entry.file)), `${label(entry)}: first different byte`).toBe(-1);
}

async function expectDecoded(formats: GgmlFormats, entry: Entry, values: Float32Array): Promise<void> {
  const { sha256: sum, nonFinite, headOffset, sampleOffset } = entry.dequant;
  const decoded = new Float32Array(entry.rows * entry.cols);
  formats[typeOf(entry)].decode(bytesOf(entry.file!), decoded);
  if (nonFinite === 0) return expect(await sha256(rawOf(decoded)), `${label(entry)}: decoded`).toBe(sum);
  const spread = Float32Array.from({ length: 512 }, (_, i) => decoded[(i * 33) % decoded.length]!);
  const listed = (offset: number): string[] => classes(values.subarray(offset / 4, offset / 4 + 512));
  expect(decoded.filter((value) => !Number.isFinite(value)).length, `${label(entry)}: not finite`).toBe(nonFinite);
  expect(classes(decoded.subarray(0, 512)), `${label(entry)}: decoded`).toEqual(listed(headOffset));
  expect(classes(spread), `${label(entry)}: decoded`).toEqual(listed(sampleOffset));
}

function goldenContract(name: string, formats: GgmlFormats): void {
  const equal = { types: 0, encoded: 0, decoded: 0, stopped: 0 };
  const entries = reason === undefined ? entriesOf() : [];
  if (reason !== undefined) console.log(`skipped: ggml's golden vectors (${name}): ${reason}`);
  const values = reason === undefined ? floatsOf("dequant_values.f32") : new Float32Array(0);

  describe.skipIf(reason !== undefined)(`${name} formats: golden vectors`, () => {
    for (const type of GGML_FORMAT_NAMES.filter((known) => known !== "f32"))
      it(type, async () => {
        const mine = entries.filter((entry) => typeOf(entry) === type);
        expect(mine.length).toBeGreaterThan(0);
        for (const entry of mine) {
          const { id, block, bytes } = formats[type];
          expect([id, block, bytes]).toEqual([entry.typeId, entry.blockSize, entry.blockBytes]);
          expectEncoded(formats, entry);
          if (entry.file !== null) await expectDecoded(formats, entry, values);
          equal[entry.file === null ? "stopped" : "encoded"]++;
          if (entry.file !== null) equal.decoded++;
        }
        equal.types++;
      });

    afterAll(() =>
      console.log(
        `ggml golden vectors (${name}): ${equal.types} types, ${equal.encoded + equal.stopped} of ${entries.length} entries: ${equal.encoded} encoded and ${equal.decoded} decoded equal, ${equal.stopped} refused where ggml stops`,
      ),
    );
  });
}

/** First 16 digits of the sum; enough to tell outputs apart. */
const short = async (bytes: Uint8Array): Promise<string> => (await sha256(bytes)).slice(0, 16);

function encoded(formats: GgmlFormats, type: GgmlFormatName, importance?: Float32Array): Uint8Array {
  const out = new Uint8Array(ggmlBytes(type, SAMPLES.length));
  expect(formats[type].encode(SAMPLES, out, ROWS, COLUMNS, importance)).toBe(-1);
  return out;
}

/** Relative error of the first row of samples, weights with outliers, after encoding and decoding. */
function rowError(formats: GgmlFormats, type: GgmlFormatName): number {
  const row = SAMPLES.subarray(0, COLUMNS);
  const out = new Uint8Array(ggmlBytes(type, COLUMNS));
  formats[type].encode(
    row,
    out,
    1,
    COLUMNS,
    WEIGHTS.map(() => 1),
  );
  const back = new Float32Array(COLUMNS);
  formats[type].decode(out, back);
  const square = (of: (i: number) => number): number => row.reduce((sum, _, i) => sum + of(i) ** 2, 0);
  return Math.sqrt(square((i) => back[i]! - row[i]!) / square((i) => row[i]!));
}

/** Types whose own values encode to the same bytes again: the peak of a block is always on its grid. */
const STABLE: readonly GgmlFormatName[] = [
  "f32",
  "f16",
  "bf16",
  "q8_0",
  "q4_0",
  "q5_0",
  "tq1_0",
  "tq2_0",
  "q1_0",
  "mxfp4",
];

/** Runs the suite on one table. */
export function ggmlContract(name: string, formats: GgmlFormats): void {
  goldenContract(name, formats);

  describe(`${name} formats: seeded rows have the bytes that ggml makes of them`, () => {
    for (const type of GGML_FORMAT_NAMES)
      it(type, async () => {
        const [plain, weighted, decoded] = EXPECTED[type];
        if (plain !== "") expect(await short(encoded(formats, type)), "without importance").toBe(plain);
        const bytes = encoded(formats, type, WEIGHTS);
        expect(await short(bytes), "with importance").toBe(weighted);
        const back = new Float32Array(SAMPLES.length);
        formats[type].decode(bytes, back);
        expect(await short(rawOf(back)), "decoded").toBe(decoded);
      });
  });

  describe(`${name} formats: rows`, () => {
    for (const type of GGML_FORMAT_NAMES)
      it(`${type}: one by one, and at any offset, they give the same bytes`, () => {
        const whole = encoded(formats, type, WEIGHTS);
        const rowBytes = whole.length / ROWS;
        const parts = new Uint8Array(whole.length + 3).subarray(3);
        for (let row = 0; row < ROWS; row++) {
          const src = SAMPLES.subarray(row * COLUMNS, (row + 1) * COLUMNS);
          formats[type].encode(src, parts.subarray(row * rowBytes, (row + 1) * rowBytes), 1, COLUMNS, WEIGHTS);
        }
        expect(firstDifference(parts, whole)).toBe(-1);
        const [aligned, moved] = [new Float32Array(SAMPLES.length), new Float32Array(SAMPLES.length)];
        formats[type].decode(whole, aligned);
        formats[type].decode(parts, moved);
        expect(firstDifference(rawOf(moved), rawOf(aligned))).toBe(-1);
      });

    for (const type of STABLE)
      it(`${type}: decoded values encode to the same bytes`, () => {
        const once = encoded(formats, type);
        const back = new Float32Array(SAMPLES.length);
        formats[type].decode(once, back);
        const twice = new Uint8Array(once.length);
        formats[type].encode(back, twice, ROWS, COLUMNS);
        expect(firstDifference(twice, once)).toBe(-1);
      });

    it("more bits mean less error, in each family", () => {
      const families: readonly (readonly GgmlFormatName[])[] = [
        ["f32", "f16", "bf16", "q8_0", "q5_1", "q4_1", "q2_0"],
        ["q8_0", "q6_k", "q5_k", "q4_k", "q3_k", "q2_k"],
        ["iq4_nl", "iq3_s", "iq3_xxs", "iq2_s", "iq2_xs", "iq2_xxs"],
        ["iq2_s", "iq1_m", "iq1_s"],
        ["q5_0", "q4_0", "q1_0"],
        ["q4_k", "mxfp4"],
      ];
      for (const family of families) {
        const errors = family.map((type) => rowError(formats, type));
        expect(errors, family.join(" ")).toEqual([...errors].sort((a, b) => a - b));
      }
    });
  });
}
