/** Which schemes fit a model, and how small each makes it. */
import { opTypes } from "../ir/edit.ts";
import type { GraphContainer, Model } from "../ir/model.ts";
import { FewbitError } from "../numeric/errors.ts";
import type { NamedScheme } from "../recipes/named-scheme.ts";
import { plainRecipe } from "../recipes/recipe.ts";
import { SCHEMES } from "../recipes/schemes.ts";
import { forModel } from "../recipes/transformers-js.ts";
import { planModel, SEE_SCHEMES } from "./plan.ts";
import { observedIn } from "./plan-static.ts";
import type { SchemeSummary } from "./result.ts";

/** Values outside the tensors (graph, names) are small; float16 halves what no step takes. */
const HALF = 0.5;

/** All schemes; with a model (after `takeGrids`) also whether each fits and the bytes of its constants afterwards. */
export const listSchemes = (model?: Model): readonly SchemeSummary[] =>
  model === undefined
    ? (Object.keys(SCHEMES) as GraphContainer[]).flatMap((container) => summaries(container))
    : summaries(model.container, model);

const summaries = (container: GraphContainer, model?: Model): readonly SchemeSummary[] =>
  [...SCHEMES[container].values()].map((scheme) => ({
    name: scheme.name,
    container,
    summary: scheme.summary,
    needsData: scheme.static !== undefined,
    ...(model ? fitting(model, scheme) : {}),
  }));

function fitting(model: Model, scheme: NamedScheme): Partial<SchemeSummary> & Pick<SchemeSummary, "fits"> {
  try {
    const { bytes, nodes, values } = planModel(model, plainRecipe(forModel(scheme, { ops: opTypes(model) })));
    const taken = nodes.reduce((sum, { weight }) => sum + (weight?.bytes.after ?? 0), 0);
    const needsData = observedIn(values).length > 0;
    return {
      fits: true,
      needsData,
      bytes: scheme.float16 ? taken + Math.round((bytes.after - taken) * HALF) : bytes.after,
    };
  } catch (error) {
    if (error instanceof FewbitError) return { fits: false, reason: error.message.replace(SEE_SCHEMES, "") };
    throw error;
  }
}
