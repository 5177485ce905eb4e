/** Names of the engines, for those who only need to know them. */

/** The engines of ONNX Runtime. */
export type OrtEngineName = "ort-node" | "ort-web";

/** Names that --engine, `EngineWish.prefer` and FEWBIT_ENGINE take. */
export const ENGINE_NAMES = ["ort-node", "ort-web", "litert", "reference"] as const;

/** Engines by the names that --engine takes. */
export type EngineName = (typeof ENGINE_NAMES)[number];
