/**
 * Form `gather`: rows of a constant table are looked up as codes and dequantized one by one, com.microsoft
 * GatherBlockQuantized. A table that is also the matrix of a product shares its codes with MatMulNBits.
 */
import { blockGrid } from "../algorithms/groups.ts";
import { intAttribute } from "../ir/attributes.ts";
import { intTensor, node } from "../ir/build.ts";
import { graphs } from "../ir/edit.ts";
import type { Node } from "../ir/model.ts";
import type { Scheme } from "../ir/scheme.ts";
import { fail } from "../numeric/errors.ts";
import type { FormRow, LowerContext, Site, WeightFit } from "./form.ts";
import { groupParts } from "./nbits.ts";
import { addParts, namedAfter, type Part, type PlannedWeight, partBytes, smaller, unfit } from "./nbits-weight.ts";

function fits(site: Site, scheme: Scheme): WeightFit | string {
  const { op, domain, inputs } = site.node;
  if (op !== "Gather" || domain !== "") return `${op} is no lookup in a table`;
  const name = inputs[0] ?? "";
  const table = site.constant(name);
  const reason = unfit(table);
  if (reason !== undefined) return reason.replace("weight", "table");
  const { shape, dtype } = table!;
  if (shape.length !== 2) return `table has ${shape.length} dimensions, not 2`;
  if (intAttribute(site.node, "axis", 0) !== 0) return "Gather along another axis than 0 looks up no rows";
  const { size } = blockGrid(scheme);
  if (shape[1]! % size !== 0) return `rows of ${shape[1]} values are no multiple of the group size ${size}`;
  const fit: WeightFit = { tensor: name, input: 0, shape, axis: 0 };
  return smaller(fit, table!, groupParts(fit, scheme, dtype));
}

/** Something else than a lookup reads the constant: the codes then have the shape that MatMulNBits wants. */
const isMatrixToo = ({ model, uses }: Site, tensor: string): boolean => {
  const lookups = [...graphs(model.graph)].flatMap(({ graph }) =>
    graph.nodes.filter(({ op, domain, inputs }) => op === "Gather" && domain === "" && inputs[0] === tensor),
  );
  return uses(tensor) > lookups.length;
};

/** Rows of codes without the axis of groups. */
const flatRows = ([codes, ...rest]: readonly Part[]): readonly Part[] => {
  const { shape } = codes!;
  return [{ ...codes!, shape: [shape[0]!, shape[1]! * shape[2]!] }, ...rest];
};

/** The parts a lookup reads; shared codes are reshaped, which the engine does once when it loads the model. */
function tableParts(context: LowerContext, weight: PlannedWeight): readonly string[] {
  const dtype = context.constant(weight.tensor)?.dtype ?? "float32";
  const parts = groupParts(weight, weight.scheme, dtype);
  const flat = flatRows(parts);
  if (!isMatrixToo(context, weight.tensor)) return addParts(context, weight, flat);
  const [codes, ...rest] = addParts(context, weight, parts);
  const rows = context.once(`gather:${codes}`, () => {
    const shape = context.fresh(`${codes}_rows_shape`);
    const output = context.fresh(`${codes}_rows`);
    context.add(intTensor(shape, flat[0]!.shape));
    const reshape: Node = node("Reshape", [codes!, shape], [output], { name: context.fresh(`${output}_Reshape`) });
    return { nodes: [reshape], outputs: [output] };
  });
  return [rows[0]!, ...rest];
}

/** The form's row for the table of forms. */
export const gatherForm: FormRow = {
  form: "gather",
  summary: "embedding tables in groups of 4 or 8 bits: com.microsoft GatherBlockQuantized",
  fits,
  storedBytes: (fit, scheme) => partBytes(groupParts(fit, scheme, "float32")),
  lower(context, plan) {
    const weight = plan.weight ?? fail("graph", `"${plan.node}": the plan names no weight`);
    const [codes, ...rest] = tableParts(context, weight);
    const { bits, size } = blockGrid(weight.scheme);
    context.need("com.microsoft", 1);
    return [
      node("GatherBlockQuantized", [codes!, context.node.inputs[1]!, ...rest], context.node.outputs, {
        ...namedAfter(context.node, `_Q${bits}`),
        domain: "com.microsoft",
        attributes: { gather_axis: 0, quantize_axis: 1, block_size: size, bits },
      }),
    ];
  },
};
