import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { valueInfo } from "../ir/build.ts";
import { imageArray } from "./images.ts";

interface Maker {
  png(): Maker;
  jpeg(): Maker;
  toFile(path: string): Promise<unknown>;
}
type Sharp = (pixels: Uint8Array, options: object) => Maker;

const name: string = "sharp";
const sharp = await import(name).then(
  (module: { default: Sharp }) => module.default,
  () => undefined,
);

const input = valueInfo("x", "float32", ["n", 3, 2, 2]);

describe.skipIf(sharp === undefined)(
  `with sharp${sharp === undefined ? " (skipped: the package is not installed)" : ""}`,
  () => {
    let folder: string;
    let path: string;
    /** Red, green / blue, white. */
    const pixels = Uint8Array.of(255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255);

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "fewbit-images-"));
      path = join(folder, "four.png");
      await sharp!(pixels, { raw: { width: 2, height: 2, channels: 3 } })
        .png()
        .toFile(path);
    });
    afterAll(() => rm(folder, { recursive: true }));

    const read = async (of = input, options = {}) => (await imageArray([path, path], of, options, "folder")).rows(1, 1);

    test("an image becomes planes of red, green and blue between 0 and 1", async () => {
      expect(await read()).toEqual({
        dtype: "float32",
        shape: [1, 3, 2, 2],
        data: Float32Array.of(1, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1, 1),
      });
    });

    test("mean and std are applied per channel", async () => {
      const { data } = await read(input, { mean: [0.5, 0, 0], std: [0.5, 1, 0.25] });
      expect([...data]).toEqual([1, -1, -1, 1, 0, 1, 0, 1, 0, 0, 4, 4]);
    });

    test("a channels-last uint8 input gets the bytes", async () => {
      const { dtype, shape, data } = await read(valueInfo("x", "uint8", ["n", 2, 2, 3]));
      expect([dtype, shape, [...data]]).toEqual(["uint8", [1, 2, 2, 3], [...pixels]]);
    });

    test("a one-channel input gets grey, weighted as in ITU-R BT.601", async () => {
      const { shape, data } = await read(valueInfo("x", "float32", ["n", 1, 2, 2]));
      expect(shape).toEqual([1, 1, 2, 2]);
      expect([...data]).toEqual([...Float32Array.of(76 / 255, 150 / 255, 29 / 255, 1)]);
    });

    test("a size is needed where the model leaves it open, and scales the image", async () => {
      const open = valueInfo("x", "float32", ["n", 3, null, null]);
      await expect(read(open)).rejects.toThrow("say it with --image size=224");
      expect((await read(open, { size: [4, 6] })).shape).toEqual([1, 3, 4, 6]);
    });

    test("a file that is no image is named", async () => {
      const broken = join(folder, "broken.png");
      await writeFile(broken, "not a picture");
      const array = await imageArray([broken], input, {}, "folder");
      await expect(array.rows(0, 1)).rejects.toThrow("broken.png: not an image that can be read");
    });
  },
);

test.skipIf(sharp !== undefined)("without sharp, the error says how to install it", async () => {
  await expect(imageArray(["a.png"], input, {}, "folder")).rejects.toThrow("npm install sharp");
});

const misfits: readonly [ReturnType<typeof valueInfo>, object, string][] = [
  [valueInfo("x", "float32", ["n", 10]), {}, 'images need an input of 4 axes, "x" takes [n, 10]'],
  [valueInfo("x", "float32", ["n", 4, 8, 8]), {}, 'images have 1 or 3 channels, "x" takes 4'],
  [input, { mean: [1, 2] }, "image option mean has 2 numbers, the model takes 3 channels"],
  [input, { std: [0] }, "std must not be zero"],
];

test.each(misfits)("input %o with options %o is refused", async (of, options, message) => {
  await expect(imageArray(["a.png"], of, options, "folder")).rejects.toThrow(message);
});
