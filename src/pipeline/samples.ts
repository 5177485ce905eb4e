/** Samples that a program has in memory already. */
import type { Dataset } from "../containers/data.ts";
import { memoryArray } from "../containers/data-arrays.ts";
import { type RowsOptions, rowsDataset } from "../containers/data-rows.ts";
import { matchArrays } from "../containers/npz.ts";
import type { Feeds, Model } from "../ir/model.ts";
import { realInputs } from "./inspect.ts";

/**
 * A dataset of one array per model input, samples on the first axis. Names, shapes and types must fit the model; a
 * misfit is an error of code "data" that says what was expected. `origin` names the data in reports.
 */
export function memoryDataset(model: Model, arrays: Feeds, origin = "memory", options: RowsOptions = {}): Dataset {
  const sources = Object.entries(arrays).map(
    ([name, array]) => [name, memoryArray(array, `${origin}: "${name}"`)] as const,
  );
  return rowsDataset(matchArrays(new Map(sources), realInputs(model.graph), origin), origin, options);
}
