/** Every name a user can type, taken from the tables that hold them. */
import { ALGORITHMS } from "../algorithms/index.ts";
import { METRICS } from "../pipeline/verify/outputs.ts";
import { SCHEMES } from "../recipes/schemes.ts";
import type { Vocabulary } from "./services.ts";

export const NAMES: Vocabulary = {
  schemes: [...SCHEMES.keys()],
  algorithms: ALGORITHMS.map(({ name }) => name),
  metrics: Object.keys(METRICS),
  engines: ["ort-node", "ort-web"],
  targets: [],
};
