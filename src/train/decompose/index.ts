/** Ops that are whole functions, written with plain ones before differentiation. An op that is not here is left as it is. */
import type { Model } from "../../ir/model.ts";
import { fail } from "../../numeric/errors.ts";
import { type Expansions, expand } from "../expand.ts";
import { activationExpansions } from "./activations.ts";
import { attentionExpansions } from "./attention.ts";
import { normExpansions } from "./norms.ts";
import { productExpansions } from "./products.ts";
import { rotaryExpansions } from "./rotary.ts";

/** How each is written, by op, the domain in front where it is not the default one. */
export const FUNCTIONS: Expansions = {
  ...activationExpansions,
  ...productExpansions,
  ...normExpansions,
  ...rotaryExpansions,
  ...attentionExpansions,
};

/** Gelu, and ReduceMean with axes as an input, exist from here on. */
const MIN_OPSET = 20;

/**
 * The model with every op of `FUNCTIONS` in its main graph written out; the same model when there is none. What an op needs
 * that training has not (a cache of keys, say) is an error of code "unsupported" that names the node.
 */
export function decompose(model: Model): Model {
  const after = expand(model, FUNCTIONS);
  if (after !== model && (model.opsets[""] ?? 0) < MIN_OPSET)
    fail(
      "unsupported",
      `decompose: the model is of opset ${model.opsets[""]}, expected ${MIN_OPSET} or later; raise it`,
    );
  return after;
}
