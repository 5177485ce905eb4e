/**
 * Ops of fewbit's own that exist only while a training graph is built, in the domain "fewbit". Their gradients are rows of
 * the rule table; behind differentiation they are expanded to plain ops.
 */
import type { Expansions } from "../expand.ts";
import { fakeQuantize } from "./fake-quantize.ts";
import { firstMax } from "./first-max.ts";
import { int8Conv } from "./int8-conv.ts";
import { int8MatMul } from "./int8-matmul.ts";
import { stopGradient } from "./stop-gradient.ts";

/** How each becomes plain nodes. */
export const TRAINING_OPS: Expansions = {
  "fewbit.FakeQuantize": fakeQuantize,
  "fewbit.StopGradient": stopGradient,
  "fewbit.FirstMax": firstMax,
  "fewbit.Int8MatMul": int8MatMul,
  "fewbit.Int8Conv": int8Conv,
};
