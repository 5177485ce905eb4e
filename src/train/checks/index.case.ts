/** The cases every gradient rule is checked on. A row of the rule table without a case here fails the test. */
import type { GradCase } from "../gradcheck.case.ts";
import { elementwiseCases } from "./elementwise.case.ts";
import { movementCases } from "./movement.case.ts";
import { productCases } from "./products.case.ts";
import { reductionCases } from "./reductions.case.ts";
import { windowCases } from "./windows.case.ts";

export const CASES: readonly GradCase[] = [
  ...elementwiseCases,
  ...productCases,
  ...reductionCases,
  ...movementCases,
  ...windowCases,
];
