/** DATA and LABELS of the command line: files, folders, or the word "random". */
import type { Dataset } from "../containers/data.ts";
import { type ArraySource, joinedArrays } from "../containers/data-arrays.ts";
import { labelsFor, labelsOfArray, labelsOfCsv, labelsOfJson } from "../containers/data-labels.ts";
import { type Column, rowsDataset } from "../containers/data-rows.ts";
import { openNpy, readNpy } from "../containers/npy.ts";
import { npzDataset } from "../containers/npz.ts";
import { randomDataset } from "../containers/random-data.ts";
import type { ValueInfo } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import { didYouMean, quotedList } from "../numeric/suggest.ts";
import { extensionOf, kindOf, type Listed, listFiles, readText, shortName } from "./data-files.ts";
import { reopeningSource } from "./file-source.ts";
import { IMAGE_EXTENSIONS, imageArray } from "./images.ts";
import type { DataRequest } from "./requests.ts";

/** How samples are read: image settings, how many, seed. */
export type DataOptions = Partial<Omit<DataRequest, "path">>;

/** Labels are short; a larger text is something else. */
const MAX_LABEL_BYTES = 2 ** 28;

const onlyInput = (inputs: readonly ValueInfo[], where: string): ValueInfo => {
  const [input] = inputs;
  if (input !== undefined && inputs.length === 1) return input;
  return fail(
    "data",
    `${where}: holds one array, but the model has ${inputs.length} inputs (${quotedList(inputs.map(({ name }) => name))}); save a .npz with one array for each`,
  );
};

const openArray = async (path: string): Promise<ArraySource> => openNpy(await reopeningSource(path), path);

/** A file without the axis for samples is one sample. */
async function openSampleFile(path: string, rank: number | undefined): Promise<ArraySource> {
  const source = await reopeningSource(path);
  if (rank === undefined) return openNpy(source, path);
  const array = await openNpy(source, path);
  if (array.shape.length !== rank - 1) return array;
  const whole = async () => {
    const { dtype, shape, data } = await readNpy(source, path);
    return { dtype, shape: [1, ...shape], data };
  };
  return { ...array, shape: [1, ...array.shape], rows: whole };
}

/** One file per input, or for a model with one input any number of files in the order of their names. */
async function npyFolder(
  files: readonly Listed[],
  inputs: readonly ValueInfo[],
  where: string,
): Promise<readonly Column[]> {
  const byName = new Map(files.map(({ path }) => [shortName(path).replace(/\.npy$/i, ""), path]));
  if (inputs.every(({ name }) => byName.has(name)) && files.length === inputs.length)
    return Promise.all(inputs.map(async (input) => ({ input, array: await openArray(byName.get(input.name)!) })));
  if (inputs.length > 1) {
    const missing = inputs.find(({ name }) => !byName.has(name)) ?? inputs[0]!;
    const names = [...byName.keys()];
    const others = names.filter((name) => !inputs.some((input) => input.name === name));
    fail(
      "data",
      `${where}: the model has ${inputs.length} inputs, expected one file for each and no others, "${missing.name}.npy"; found ${quotedList(names)}${didYouMean(missing.name, others)}`,
    );
  }
  const input = onlyInput(inputs, where);
  const parts: ArraySource[] = [];
  for (const { path } of files) parts.push(await openSampleFile(path, input.shape?.length));
  return [{ input, array: joinedArrays(parts, where) }];
}

const isNpy = ({ path }: Listed): boolean => extensionOf(path) === ".npy";
const isImage = ({ path }: Listed): boolean => IMAGE_EXTENSIONS.has(extensionOf(path));

async function openFolder(path: string, inputs: readonly ValueInfo[], options: DataOptions): Promise<Dataset> {
  const files = await listFiles(path);
  const arrays = files.filter(isNpy);
  const images = files.filter(isImage);
  if (arrays.length > 0 && images.length > 0)
    fail("data", `${path}: holds ${arrays.length} .npy files and ${images.length} images; give one kind`);
  if (arrays.length > 0) return rowsDataset(await npyFolder(arrays, inputs, path), shortName(path), options);
  if (images.length === 0)
    fail("data", `${path}: holds neither .npy files nor images (${[...IMAGE_EXTENSIONS].join(", ")})`);
  const input = onlyInput(inputs, path);
  const array = await imageArray(
    images.map((image) => image.path),
    input,
    options.image ?? {},
    path,
  );
  return rowsDataset([{ input, array }], shortName(path), options);
}

async function openFile(path: string, inputs: readonly ValueInfo[], options: DataOptions): Promise<Dataset> {
  const extension = extensionOf(path);
  if (extension === ".npz") return npzDataset(await reopeningSource(path), shortName(path), inputs, options);
  if (extension === ".npy")
    return rowsDataset([{ input: onlyInput(inputs, path), array: await openArray(path) }], shortName(path), options);
  return fail("usage", `${path}: samples come as .npy, .npz, a folder of .npy or of images, or the word "random"`);
}

/**
 * Opens samples for a model's inputs: checks names, shapes, types and that there are any, reads nothing but headers.
 * `path` is a `.npy` (one input), a `.npz` (an array per input), a folder of `.npy` or of images, or "random".
 */
export async function openDataset(
  path: string,
  inputs: readonly ValueInfo[],
  options: DataOptions = {},
): Promise<Dataset> {
  if (path === "random") return randomDataset(inputs, options);
  return (await kindOf(path)) === "folder" ? openFolder(path, inputs, options) : openFile(path, inputs, options);
}

/** Classes are the sub-folders in the order of their names, samples the images in the order `openDataset` reads them. */
async function folderLabels(path: string): Promise<Int32Array> {
  const images = (await listFiles(path)).filter(isImage);
  const loose = images.find(({ group }) => group === "");
  if (images.length === 0 || loose)
    fail(
      "data",
      `${path}: expected images in one sub-folder per class${loose ? `, found "${shortName(loose.path)}" outside` : ""}`,
    );
  const classes = [...new Set(images.map(({ group }) => group))];
  return Int32Array.from(images, ({ group }) => classes.indexOf(group));
}

const READERS: Readonly<Record<string, (path: string) => Promise<Int32Array>>> = {
  ".npy": async (path) => labelsOfArray(await readNpy(await reopeningSource(path), path), path),
  ".csv": async (path) => labelsOfCsv(await readText(path, MAX_LABEL_BYTES), path),
  ".json": async (path) => labelsOfJson(await readText(path, MAX_LABEL_BYTES), path),
};

/** Class numbers for the samples of `data`, from `.npy`, `.csv`, `.json`, or the sub-folder names of an image folder. */
export async function openLabels(path: string, data: Pick<Dataset, "length" | "chosen">): Promise<Int32Array> {
  if ((await kindOf(path)) === "folder") return labelsFor(await folderLabels(path), data, path);
  const extension = extensionOf(path);
  const read = Object.hasOwn(READERS, extension) ? READERS[extension] : undefined;
  if (read === undefined)
    return fail(
      "usage",
      `${path}: labels come as .npy, .csv, .json, or a folder of images with one sub-folder per class`,
    );
  return labelsFor(await read(path), data, path);
}
