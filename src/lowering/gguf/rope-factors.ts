/** How Llama 3.1 and later stretch positions: one factor for each rotated pair, which GGUF keeps as a tensor. */
import { bytesSource } from "../../ir/source.ts";
import type { StoredTensor } from "../../ir/tensor-file.ts";
import { bytesOf } from "../../numeric/convert.ts";
import { type Config, headSize, numberSetting, ropeSettings } from "./config.ts";

/** Everything is float32, as where the factors come from (conversion/llama.py of llama.cpp). */
const f = Math.fround;

interface Bands {
  readonly factor: number;
  readonly lowFactor: number;
  readonly highFactor: number;
  readonly context: number;
}

/** Short waves stay, long ones are stretched, between them it changes smoothly. */
function factorOf(frequency: number, { factor, lowFactor, highFactor, context }: Bands): number {
  const wave = f(f(2 * Math.PI) / frequency);
  if (wave < context / highFactor) return 1;
  if (wave > context / lowFactor) return factor;
  const smooth = f(f(f(context / wave) - lowFactor) / f(highFactor - lowFactor));
  return f(1 / f(f(f(1 - smooth) / factor) + smooth));
}

/** The tensor `rope_freqs.weight` where config.json asks for it. */
export function ropeFactors(config: Config): readonly StoredTensor[] {
  const rope = ropeSettings(config);
  if (rope.get("rope_type") !== "llama3") return [];
  const size = headSize(config);
  const base = numberSetting(rope, "rope_theta") ?? 10_000;
  const bands: Bands = {
    factor: numberSetting(rope, "factor") ?? 8,
    lowFactor: numberSetting(rope, "low_freq_factor") ?? 1,
    highFactor: numberSetting(rope, "high_freq_factor") ?? 4,
    context: numberSetting(rope, "original_max_position_embeddings") ?? 8192,
  };
  const frequency = (pair: number): number => f(1 / f(f(base) ** f((2 * pair) / size)));
  const factors = Float32Array.from({ length: Math.ceil(size / 2) }, (_, pair) => factorOf(frequency(pair), bands));
  const shape = [factors.length];
  return [{ name: "rope_freqs.weight", type: "float32", shape, data: bytesSource(bytesOf(factors)) }];
}
