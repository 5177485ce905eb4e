/** fewbit.FirstMax: the larger one of two values of the same shape, element by element; of equal ones the first is taken. */
import type { Expansion } from "../expand.ts";

/** What it makes is what Max makes; only its gradient is another one. */
export const firstMax: Expansion = (node, { emit }) => [emit("Max", node.inputs)];
