/** `quantization_config` of config.json, as compressed-tensors 0.20 writes and reads it (QuantizationConfig, QuantizationArgs). */
import type { Scheme } from "../../ir/scheme.ts";
import { DTYPES } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { isJsonObject, type Json } from "../json.ts";

/** Version of the package whose form this is. */
const VERSION = "0.20.1";
/** What the package calls itself in `quant_method`. */
export const METHOD = "compressed-tensors";
/** The key of config.json. */
export const CONFIG_KEY = "quantization_config";

/** How the weights of a folder are stored. */
export interface CompressedForm {
  /** Codes int4, int8 or float8e4m3fn, per channel or in groups. */
  readonly weights: Scheme;
  /** Activations become codes of the weights' type in each run, one scale per token. */
  readonly dynamicActivations: boolean;
}

/** Ways to store codes: packed into words where only weights are codes, else one by one. */
export type CompressedFormat = "pack-quantized" | "int-quantized" | "float-quantized";

const isFloat = ({ dtype }: Scheme): boolean => DTYPES[dtype].kind === "float";

/** The format that the package infers for a form (`infer_module_format`). */
export const formatOf = ({ weights, dynamicActivations }: CompressedForm): CompressedFormat =>
  isFloat(weights) ? "float-quantized" : dynamicActivations ? "int-quantized" : "pack-quantized";

const args = (scheme: Scheme, dynamic: boolean, strategy: string, groupSize: number | null) => ({
  num_bits: DTYPES[scheme.dtype].bits,
  type: isFloat(scheme) ? "float" : "int",
  symmetric: scheme.symmetric,
  group_size: groupSize,
  strategy,
  dynamic,
});

const weightArgs = (weights: Scheme) =>
  weights.granularity.per === "group"
    ? args(weights, false, "group", weights.granularity.size)
    : args(weights, false, "channel", null);

/** The object of config.json; `ignore` names modules, or matches them by "re:PATTERN". */
export function quantizationConfig(form: CompressedForm, ignore: readonly string[]) {
  const { weights, dynamicActivations } = form;
  const format = formatOf(form);
  const tokens = args({ ...weights, symmetric: true }, true, "token", null);
  return {
    config_groups: {
      group_0: {
        targets: ["Linear"],
        weights: weightArgs(weights),
        input_activations: dynamicActivations ? tokens : null,
        output_activations: null,
        format,
      },
    },
    format,
    global_compression_ratio: null,
    ignore,
    kv_cache_scheme: null,
    quant_method: METHOD,
    quantization_status: "compressed",
    version: VERSION,
  };
}

const WHERE = `config.json: ${CONFIG_KEY}`;

const unsupported = (what: string): never =>
  fail("unsupported", `${WHERE}: ${what}; only what fewbit writes itself can be decoded`);

/** Types of codes by the words of the configuration. */
const DTYPE_OF: Readonly<Record<string, Scheme["dtype"]>> = {
  "int 4": "int4",
  "int 8": "int8",
  "float 8": "float8e4m3fn",
};

function granularityOf(found: ReadonlyMap<string, Json>): Scheme["granularity"] {
  const strategy = found.get("strategy");
  const size = found.get("group_size");
  if (strategy === "channel") return { per: "axis" };
  if (strategy === "group" && typeof size === "number" && Number.isInteger(size) && size > 0)
    return { per: "group", size };
  return unsupported(`weights of strategy ${JSON.stringify(strategy ?? null)}, group size ${String(size)}`);
}

/** The only group of a configuration, its weights and activations. */
function onlyGroup(config: ReadonlyMap<string, Json>): ReadonlyMap<string, Json> {
  const groups = config.get("config_groups");
  const [group, ...more] = isJsonObject(groups) ? groups.values() : [];
  return isJsonObject(group) && more.length === 0 ? group : unsupported("not one group of layers");
}

/** What a configuration says of the weights. Fails with code "unsupported" for what fewbit does not write. */
export function readForm(config: Json | undefined): CompressedForm {
  if (!isJsonObject(config) || config.get("quant_method") !== METHOD) return unsupported(`not of ${METHOD}`);
  const group = onlyGroup(config);
  const weights = group.get("weights");
  if (!isJsonObject(weights)) return unsupported("no weights");
  const named = `${String(weights.get("type"))} ${String(weights.get("num_bits"))}`;
  const dtype = Object.hasOwn(DTYPE_OF, named) ? DTYPE_OF[named]! : unsupported(`weights of type ${named}`);
  const form: CompressedForm = {
    weights: { dtype, symmetric: weights.get("symmetric") !== false, granularity: granularityOf(weights) },
    dynamicActivations: isJsonObject(group.get("input_activations")),
  };
  return config.get("format") === formatOf(form) ? form : unsupported(`format ${String(config.get("format"))}`);
}
