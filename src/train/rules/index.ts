/** All gradient rules, by op of the default ONNX domain. An op that is not here is refused by name. */
import type { Rules } from "../rule.ts";
import { activationRules } from "./activations.ts";
import { broadcastingRules } from "./broadcasting.ts";
import { controlRules } from "./control.ts";
import { convolutionRules } from "./convolutions.ts";
import { dropoutRules } from "./dropout.ts";
import { einsumRules } from "./einsum.ts";
import { elementwiseRules } from "./elementwise.ts";
import { fakeQuantizeRules } from "./fake-quantize.ts";
import { functionRules } from "./functions.ts";
import { indexingRules } from "./indexing.ts";
import { int8ConvolutionRules } from "./int8-convolutions.ts";
import { int8ProductRules } from "./int8-products.ts";
import { labelRules } from "./labels.ts";
import { movementRules } from "./movement.ts";
import { nonlinearReductionRules } from "./nonlinear-reductions.ts";
import { normalizationRules } from "./normalizations.ts";
import { poolRules } from "./pools.ts";
import { productRules } from "./products.ts";
import { quantizationRules } from "./quantization.ts";
import { reductionRules } from "./reductions.ts";
import { repetitionRules } from "./repetition.ts";
import { resizeRules } from "./resize.ts";
import { stoppedRules } from "./stopped.ts";
import { variadicRules } from "./variadic.ts";

export const RULES: Rules = {
  ...elementwiseRules,
  ...activationRules,
  ...functionRules,
  ...stoppedRules,
  ...broadcastingRules,
  ...variadicRules,
  ...productRules,
  ...einsumRules,
  ...reductionRules,
  ...nonlinearReductionRules,
  ...normalizationRules,
  ...movementRules,
  ...repetitionRules,
  ...indexingRules,
  ...resizeRules,
  ...dropoutRules,
  ...labelRules,
  ...quantizationRules,
  ...fakeQuantizeRules,
  ...int8ProductRules,
  ...int8ConvolutionRules,
  ...convolutionRules,
  ...controlRules,
  ...poolRules,
};
