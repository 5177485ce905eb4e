/** All gradient rules, by op of the default ONNX domain. An op that is not here is refused by name. */
import type { Rules } from "../rule.ts";
import { broadcastingRules } from "./broadcasting.ts";
import { elementwiseRules } from "./elementwise.ts";
import { movementRules } from "./movement.ts";
import { productRules } from "./products.ts";
import { reductionRules } from "./reductions.ts";
import { windowRules } from "./windows.ts";

export const RULES: Rules = {
  ...elementwiseRules,
  ...broadcastingRules,
  ...productRules,
  ...reductionRules,
  ...movementRules,
  ...windowRules,
};
