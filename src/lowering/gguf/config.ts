/** config.json of a model folder, asked for single settings. */
import { isJsonObject, type Json } from "../../containers/json.ts";
import { fail } from "../../numeric/errors.ts";
import type { Family } from "./architectures.ts";

export type Config = ReadonlyMap<string, Json>;

const KEY_HEADS = "num_key_value_heads";

/** The first of several names that has a value other than null. */
export function setting(config: Config, names: readonly string[]): Json | undefined {
  for (const name of names) {
    const found = config.get(name);
    if (found !== undefined && found !== null) return found;
  }
  return undefined;
}

/** A number by the first name that is there; undefined where none is. */
export function numberSetting(config: Config, ...names: readonly string[]): number | undefined {
  const found = setting(config, names);
  if (found === undefined || typeof found === "number") return found;
  return fail("format", `config.json: "${names[0]}" is no number; repair it`);
}

/** A number that has to be there, from 1 up and whole. */
export function countSetting(config: Config, ...names: readonly string[]): number {
  const found = numberSetting(config, ...names);
  if (found === undefined || !Number.isSafeInteger(found) || found < 1)
    return fail("format", `config.json: "${names[0]}" is ${found ?? "missing"}, expected a whole number from 1 up`);
  return found;
}

/** How positions are encoded: today's `rope_parameters`, or `rope_scaling` with what stood beside it before. */
export function ropeSettings(config: Config): Config {
  const given = setting(config, ["rope_parameters", "rope_scaling"]);
  const rope = new Map<string, Json>(isJsonObject(given) ? given : []);
  const also = (name: string, value: Json | undefined): void => {
    if (!rope.has(name) && value !== undefined) rope.set(name, value);
  };
  also("rope_theta", numberSetting(config, "rope_theta"));
  also("rope_type", rope.get("type"));
  also("original_max_position_embeddings", numberSetting(config, "original_max_position_embeddings"));
  return rope;
}

/** Values of one head. */
export const headSize = (config: Config): number =>
  numberSetting(config, "head_dim") ??
  Math.floor(countSetting(config, "hidden_size") / countSetting(config, "num_attention_heads"));

/** config.json with what is assumed where it is silent; as many key heads as query heads where it says null. */
export function completed(config: Config, { assumes, statesHead }: Pick<Family, "assumes" | "statesHead">): Config {
  const all = new Map<string, Json>([...Object.entries(assumes), ...config]);
  if (typeof all.get(KEY_HEADS) !== "number") all.set(KEY_HEADS, countSetting(config, "num_attention_heads"));
  if (statesHead) all.set("head_dim", headSize(all));
  return all;
}

/** The type that config.json states. */
export function architectureName(config: Config): string {
  const found = config.get("architectures");
  const [first] = Array.isArray(found) ? (found as readonly Json[]) : [];
  return typeof first === "string" ? first : fail("format", 'config.json: it has no "architectures"; repair it');
}
