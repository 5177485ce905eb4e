/** Class labels from text and arrays. */
import type { NDArray } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import type { Dataset } from "./data.ts";

const toLabel = (value: number, index: number, where: string): number =>
  Number.isInteger(value) && value >= 0 && value <= 0x7fffffff
    ? value
    : fail("data", `${where}: label ${index} is ${value}, expected a class number from 0 on`);

const toLabels = (values: ArrayLike<number | bigint>, where: string): Int32Array =>
  Int32Array.from(values as ArrayLike<number>, (value, index) => toLabel(Number(value), index, where));

/** Integer array of shape [samples] or [samples, 1]. */
export function labelsOfArray({ dtype, shape, data }: NDArray, where: string): Int32Array {
  if (shape.slice(1).some((dim) => dim !== 1) || shape.length === 0)
    fail("data", `${where}: labels of shape [${shape}], expected one class number per sample, shape [samples]`);
  if (dtype.includes("float16")) fail("data", `${where}: labels of ${dtype}, expected integers`);
  return toLabels(data, where);
}

/** A JSON list of class numbers. */
export function labelsOfJson(text: string, where: string): Int32Array {
  const parse = (): unknown => {
    try {
      return JSON.parse(text);
    } catch (cause) {
      return fail("format", `${where}: not JSON (${(cause as Error).message})`, cause);
    }
  };
  const found = parse();
  if (!Array.isArray(found) || found.some((value) => typeof value !== "number"))
    return fail("data", `${where}: expected a list of class numbers such as [3, 0, 7]`);
  return toLabels(found as number[], where);
}

const INTEGER = /^\s*"?(\d+)"?\s*$/;

/** One sample per line, the class number last; a first line without a number is a heading. */
export function labelsOfCsv(text: string, where: string): Int32Array {
  const fields = text
    .split(/\r?\n/)
    .filter((line) => line.trim() !== "")
    .map((line) => INTEGER.exec(line.slice(Math.max(line.lastIndexOf(","), line.lastIndexOf(";")) + 1))?.[1]);
  const body = fields.length > 0 && fields[0] === undefined ? fields.slice(1) : fields;
  const wrong = body.indexOf(undefined);
  if (wrong >= 0) fail("data", `${where}: no class number at the end of row ${wrong + 1}`);
  return toLabels(body.map(Number), where);
}

/** The labels of the rows a dataset uses; their number must be that of the samples. */
export function labelsFor(labels: Int32Array, data: Pick<Dataset, "length" | "chosen">, where: string): Int32Array {
  const { chosen, length } = data;
  if (labels.length === (chosen?.of ?? length))
    return chosen ? Int32Array.from(chosen.rows, (row) => labels[row]!) : labels;
  return fail("data", `${where}: ${labels.length} labels, expected ${chosen?.of ?? length}, one for each sample`);
}
