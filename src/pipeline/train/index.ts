/** Training: layers for new models, the step graph of any model, and the loop that runs it. */
export { type Checkpoint, decodeCheckpoint, encodeCheckpoint, type RunIdentity } from "../../containers/checkpoint.ts";
export {
  checkLabels,
  memoryData,
  type TrainingData,
  trainingData,
  withLabels,
  withTargets,
} from "../../containers/training-data.ts";
export { gradientGraph } from "../../train/gradient.ts";
export * from "../../train/layers/index.ts";
export {
  type LossSpec,
  type Lossy,
  type MixedLoss,
  type SingleLoss,
  withLoss,
} from "../../train/losses.ts";
export { WEIGHT_FORMATS, type WeightFormat, type WeightFormatName } from "../../train/low-precision/formats.ts";
export {
  type IntegerNode,
  type IntegerProducts,
  type LowPrecisionOptions,
  withIntegerProducts,
} from "../../train/low-precision/rewrite.ts";
export { normalizeForTraining, TRAINING_OPSET } from "../../train/normalize.ts";
export { type AdamOptions, adam, adamw, OPTIMIZERS, type Optimizer, sgd } from "../../train/optimizers.ts";
export { type Learned, withLearned } from "../../train/qat/learned.ts";
export { rateAt, type Schedule } from "../../train/schedule.ts";
export {
  NOISE,
  nextOf,
  type ParameterGroup,
  type StepOptions,
  type TrainingStep,
  trainingStep,
} from "../../train/step.ts";
export { decodeTokens, encoder, type Tokenizer, trainTokenizer } from "../../train/text/bpe.ts";
export { type Augment, inOrder, mixup } from "./augment.ts";
export { color, cutout, flip, shift, warp } from "./augment-images.ts";
export { AUGMENTS, augmentNamed } from "./augment-names.ts";
export type { FakeAgreement } from "./fake-agreement.ts";
export { type FloatInput, type FloatMade, type FloatTraining, trainFloat, trainFloatTflite } from "./float.ts";
export type { Loop, OpenLoop } from "./loop.ts";
export {
  type LowPrecisionInput,
  type LowPrecisionMade,
  type LowPrecisionTraining,
  lowPrecision,
} from "./low-precision.ts";
export { type QatHost, type QatInput, type QatMade, type QatTraining, qat } from "./qat.ts";
export { stepCount, type Trained, type TrainHost, type Training, type TrainOptions, type TrainRun } from "./run.ts";
export { lossCurve } from "./summary.ts";
export { type Teacher, teacherFor } from "./teacher.ts";
export { perplexity, type Surprise, type WindowsOptions, windowsData } from "./text.ts";
export { qatTflite } from "./tflite.ts";
export { train } from "./train.ts";
