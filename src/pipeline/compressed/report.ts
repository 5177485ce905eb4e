/** What quantizing a safetensors model did, or would do. */
import { type CompressedForm, formatOf } from "../../containers/compressed-tensors/index.ts";
import type { ErrorSums } from "../../numeric/metrics.ts";
import { expertsHome } from "../../recipes/compressed-tensors.ts";
import type { Finding } from "../result.ts";
import { type TensorReport, tensorReport } from "../weights/report.ts";
import type { CompressedPlan } from "./plan.ts";

/** One row for each tensor of the source. */
export const compressedReports = (
  plan: CompressedPlan,
  errors: ReadonlyMap<string, ErrorSums>,
): readonly TensorReport[] => plan.tensors.map((tensor) => tensorReport(tensor, errors.get(tensor.name)));

const NOT_RUN: Finding = {
  severity: "warning",
  code: "not-run",
  message:
    "the folder was not run: no engine here runs safetensors; its files were read back and decoded, so only the error of each tensor is known",
  remedy:
    "load it with vLLM or transformers (with the package compressed-tensors), and compare its answers with the original's",
};

const tensors = (number: number): string => (number === 1 ? "1 tensor" : `${number} tensors`);

function misfitFinding(plan: CompressedPlan): readonly Finding[] {
  const kept = plan.tensors.filter(({ insteadOf }) => insteadOf !== undefined);
  const [first] = kept;
  if (first === undefined) return [];
  const message = `${tensors(kept.length)} stay, since groups don't fit: "${first.name}", ${first.reason}`;
  return [{ severity: "info", code: "fallback", message, remedy: "a smaller --group-size may fit them" }];
}

/** transformers stacks experts, and makes floats of packed symmetric codes and of float8 alone on the way (5.24, CompressedTensorsDequantize). */
const stacksInTransformers = (form: CompressedForm): boolean =>
  form.weights.symmetric && formatOf(form) !== "int-quantized";

const ONLY_VLLM: Finding = {
  severity: "info",
  code: "experts",
  message: "experts in this form load in vLLM, but not in transformers 5.24",
  remedy: "for transformers choose fp8, or w8 or w4 without --asymmetric",
};

function expertsFinding({ tensors: all, form }: CompressedPlan): readonly Finding[] {
  const experts = all.filter(({ name, shape }) => expertsHome(name) !== undefined && shape.length > 1);
  const stay = experts.filter(({ matrix }) => matrix === undefined);
  const written = stay.length < experts.length && !stacksInTransformers(form) ? [ONLY_VLLM] : [];
  const [first] = stay;
  if (first === undefined) return written;
  const bytes = (tensorPlans: typeof all): number => tensorPlans.reduce((sum, { before }) => sum + before, 0);
  const share = Math.round((100 * bytes(stay)) / bytes(all));
  const message = `${tensors(stay.length)} of experts stay as they are, ${share} percent of the bytes: "${first.name}", ${first.reason}`;
  return [...written, { severity: "warning", code: "experts", message }];
}

/** Rows and columns that vLLM's Marlin kernel takes its tiles from (marlin_utils.py, vLLM 0.33). */
const TILES = { rows: 64, columns: 128 } as const;

/** vLLM joins layers and splits them over GPUs, so this can only say what is surely too small. */
function tileFinding({ tensors: all, form }: CompressedPlan): readonly Finding[] {
  if (form.dynamicActivations) return [];
  const odd = all.filter(
    ({ matrix }) => matrix !== undefined && (matrix.rows % TILES.rows !== 0 || matrix.columns % TILES.columns !== 0),
  );
  const [first] = odd;
  if (first === undefined) return [];
  const message = `${tensors(odd.length)} may not suit vLLM's Marlin kernel, which wants rows in ${TILES.rows}s and columns in ${TILES.columns}s: "${first.name}" is [${first.shape.join(", ")}]`;
  return [
    { severity: "info", code: "tiles", message, remedy: "if vLLM refuses the folder, leave them out with --keep" },
  ];
}

/** What is to be said of a plan, before it is done and after. */
export const compressedFindings = (plan: CompressedPlan): readonly Finding[] => [
  ...expertsFinding(plan),
  ...misfitFinding(plan),
  ...tileFinding(plan),
];

/** What is to be said of a folder that was written. */
export const compressedWrittenFindings = (plan: CompressedPlan): readonly Finding[] => [
  NOT_RUN,
  ...compressedFindings(plan),
];
