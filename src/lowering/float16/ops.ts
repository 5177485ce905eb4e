/** Which ops stay in float32, and which inputs of the others do. */
import { stringAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";

const names = (text: string): readonly string[] => text.trim().split(/\s+/);

/** ONNX ML ops and those the converters of onnxconverter-common and transformers.js leave alone. */
const CONVERTERS = names(`
  ArrayFeatureExtractor Binarizer CastMap CategoryMapper DictVectorizer FeatureVectorizer Imputer LabelEncoder
  LinearClassifier LinearRegressor Normalizer OneHotEncoder SVMClassifier SVMRegressor Scaler TreeEnsemble
  TreeEnsembleClassifier TreeEnsembleRegressor ZipMap NonMaxSuppression TopK RoiAlign Resize CumSum Min Max Upsample
  RandomNormalLike RandomUniformLike`);

/** Ops whose definition takes float32 but not float16 in some opset up to 28, or whose scales must not lose digits. */
const DEFINITION = names(`
  Celu DequantizeLinear QuantizeLinear DynamicQuantizeLinear IsInf QLinearConv QLinearMatMul Range TfIdfVectorizer`);

/** Ops whose half form ONNX Runtime 1.30 can't load on CPUs (a float constant inside), or that see bits, not values. */
const ENGINE = names("BitCast MeanVarianceNormalization");

/** Generators and signal ops: no half kernels, or results that need the digits. */
const GENERATORS = names(`
  Bernoulli BlackmanWindow DFT EyeLike HammingWindow HannWindow MelWeightMatrix Multinomial RandomNormal RandomUniform
  STFT`);

/** Sequences and optionals: what they hold stays what it was. */
const CONTAINERS = names(`
  ConcatFromSequence Optional OptionalGetElement OptionalHasElement SequenceAt SequenceConstruct SequenceEmpty
  SequenceErase SequenceInsert SequenceLength SequenceMap SplitToSequence`);

export const FLOAT32_OPS: ReadonlySet<string> = new Set([
  ...CONVERTERS,
  ...DEFINITION,
  ...ENGINE,
  ...GENERATORS,
  ...CONTAINERS,
]);

/** Exact where half is not: comparisons of positions beyond 2048, and angles. Not in the scripts of transformers.js. */
export const PRECISE_OPS: ReadonlySet<string> = new Set(names("Cos Equal Greater GreaterOrEqual Less LessOrEqual Sin"));

/** ONNX Runtime's CPU kernels reduce while scattering in float32 only. */
const SCATTERS: ReadonlySet<string> = new Set(["ScatterElements", "ScatterND"]);
export const scattersSums = (node: Node): boolean =>
  SCATTERS.has(node.op) && stringAttribute(node, "reduction", "none") !== "none";

/** com.microsoft ops known to compute in half precision; others of foreign domains stay in float32. */
export const HALF_CONTRIB_OPS: ReadonlySet<string> = new Set(
  names(`
  Attention BiasAdd BiasGelu BiasSplitGelu EmbedLayerNormalization FastGelu FusedConv FusedMatMul GatherBlockQuantized
  Gelu GroupQueryAttention LayerNormalization MatMulBnb4 MatMulNBits MultiHeadAttention QuickGelu RotaryEmbedding
  SimplifiedLayerNormalization SkipLayerNormalization SkipSimplifiedLayerNormalization`),
);

/** Inputs that are float32 by definition where the rest may be half: Resize's scales, and roi to go with them. */
export const FLOAT32_INPUTS: Readonly<Record<string, readonly number[]>> = { Resize: [1, 2], Upsample: [1] };

/** Ops that take any type: they read a value as it is, without a Cast. */
export const ANY_TYPE_OPS: ReadonlySet<string> = new Set(["Cast", "IsNaN", "Shape", "Size"]);

/** Ops that make lengths, positions and angles; they stay in float32 where everything that reads them does. */
export const LENGTH_OPS: ReadonlySet<string> = new Set(
  names(`
  Abs Add Cast Ceil Clip Concat ConstantOfShape Div Expand Floor Gather Identity MatMul Mod Mul Neg Pow Reciprocal Reshape Round
  Slice Sqrt Squeeze Sub Transpose Unsqueeze`),
);
