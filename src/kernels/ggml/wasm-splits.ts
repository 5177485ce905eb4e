/** The exhaustive split search of the IQ1 types in WebAssembly. */
import { split, type TrySplits } from "./iq1-search.ts";
import { machine, type Program, VALUES_AT } from "./machine.ts";

/** Where the program leaves the borders and the scale of the split (`assembly/iq1.ts`). */
const RESULT_AT = 5120 + 64 + 64;

/** `TrySplits` by one of the program's searches: the same offers in the same order. */
const trySplits =
  (search: (program: Program, sums: number) => number): TrySplits =>
  (sums) => {
    const { program, values } = machine();
    values.set(sums);
    split.shift = search(program, VALUES_AT);
    if (split.shift < 0) return;
    const { buffer } = program.memory;
    const borders = new Int32Array(buffer, RESULT_AT, 2);
    split.first = borders[0]!;
    split.second = borders[1]!;
    split.scale = new Float32Array(buffer, RESULT_AT + 8, 1)[0]!;
  };

/** For iq1_s. */
export const trySplitsWasmS = trySplits((program, sums) => program.trySplitsS(sums));

/** For iq1_m. */
export const trySplitsWasmM = trySplits((program, sums) => program.trySplitsM(sums));
