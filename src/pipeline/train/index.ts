/** Training: layers for new models, the step graph of any model, and the loop that runs it. */
export { memoryData, type TrainingData } from "../../containers/training-data.ts";
export * from "../../train/layers/index.ts";
export { type LossSpec, type Lossy, withLoss } from "../../train/losses.ts";
export { type AdamOptions, adam, adamw, OPTIMIZERS, type Optimizer, sgd } from "../../train/optimizers.ts";
export { rateAt, type Schedule } from "../../train/schedule.ts";
export { nextOf, type ParameterGroup, type StepOptions, type TrainingStep, trainingStep } from "../../train/step.ts";
export { type Trained, type TrainRun, train } from "./train.ts";
