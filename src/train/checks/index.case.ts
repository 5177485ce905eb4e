/** The cases every gradient rule is checked on. A row of the rule table without a case here fails the test. */
import type { GradCase } from "../gradcheck.case.ts";
import { activationCases } from "./activations.case.ts";
import { controlCases } from "./control.case.ts";
import { einsumCases } from "./einsum.case.ts";
import { elementwiseCases } from "./elementwise.case.ts";
import { indexingCases } from "./indexing.case.ts";
import { labelCases } from "./labels.case.ts";
import { movementCases } from "./movement.case.ts";
import { nonlinearReductionCases } from "./nonlinear-reductions.case.ts";
import { normalizationCases } from "./normalizations.case.ts";
import { productCases } from "./products.case.ts";
import { quantizationCases } from "./quantization.case.ts";
import { reductionCases } from "./reductions.case.ts";
import { repetitionCases } from "./repetition.case.ts";
import { resizeCases } from "./resize.case.ts";
import { stoppedCases } from "./stopped.case.ts";
import { variadicCases } from "./variadic.case.ts";
import { windowCases } from "./windows.case.ts";

export const CASES: readonly GradCase[] = [
  ...elementwiseCases,
  ...activationCases,
  ...stoppedCases,
  ...variadicCases,
  ...productCases,
  ...einsumCases,
  ...reductionCases,
  ...nonlinearReductionCases,
  ...movementCases,
  ...repetitionCases,
  ...indexingCases,
  ...resizeCases,
  ...labelCases,
  ...quantizationCases,
  ...windowCases,
  ...normalizationCases,
  ...controlCases,
];
