/** All passes, and the order they run in before a model is quantized. */
import type { GraphContainer } from "../ir/model.ts";
import { averageLast } from "./average-last.ts";
import { constantNodes } from "./constant-nodes.ts";
import { decodeConstants } from "./decode-constants.ts";
import { dedupeTensors } from "./dedupe-tensors.ts";
import { dropIdentity } from "./drop-identity.ts";
import { dropUnused } from "./drop-unused.ts";
import { foldBatchNorm } from "./fold-batch-norm.ts";
import { foldConstants } from "./fold-constants.ts";
import { fuseMatMulAdd } from "./fuse-matmul-add.ts";
import { gatherToReshape } from "./gather-to-reshape.ts";
import { hardGates } from "./hard-gates.ts";
import { meanToPool } from "./mean-to-pool.ts";
import { normToConv } from "./norm-to-conv.ts";
import type { Pass } from "./pass.ts";
import { poolToConv } from "./pool-to-conv.ts";
import { poolToMean } from "./pool-to-mean.ts";
import { splitClips } from "./split-clips.ts";
import { stripFakeQuant } from "./strip-fake-quant.ts";
import { stripQdq } from "./strip-qdq.ts";
import { unlistInitializers } from "./unlist-initializers.ts";
import { widenBias } from "./widen-bias.ts";
import { zeroStates } from "./zero-states.ts";

/** Before the operator set is raised: a newer IR version would give listed initializers another meaning. */
export const FIRST: readonly Pass[] = [unlistInitializers];

/**
 * For every scheme. Dead branches go first, as they count as readers; identical weights before others are made of them.
 */
export const GENERAL: readonly Pass[] = [
  dropUnused,
  constantNodes,
  dedupeTensors,
  dropIdentity,
  foldConstants,
  gatherToReshape,
  zeroStates,
  dropIdentity,
  foldBatchNorm,
  dropUnused,
];

/** For models that hold Q/DQ pairs, before `GENERAL`: their scales must be plain constants to be read. */
export const GRIDS: readonly Pass[] = [dropUnused, constantNodes, dropIdentity, foldConstants, stripQdq];

/** For graphs that will run in integers from end to end; weight-only forms want MatMul as it is. */
export const STATIC: readonly Pass[] = [
  fuseMatMulAdd,
  widenBias,
  meanToPool,
  poolToConv,
  normToConv,
  splitClips,
  dropUnused,
];

/** Behind `STATIC`, where grids of values begin at zero and so clamp: what gates leave to fold goes into the products. */
export const CLAMPING: readonly Pass[] = [hardGates, foldBatchNorm, dropUnused];

/** Behind those, where values have fewer codes than 8 bits. */
export const FEW_CODES: readonly Pass[] = [averageLast, dropUnused];

/** The passes of one container, in the order of their groups. */
export interface Passes {
  /** Before the operator set is raised. */
  readonly first: readonly Pass[];
  /** For models that were trained or quantized elsewhere. */
  readonly grids: readonly Pass[];
  readonly general: readonly Pass[];
  /** For graphs that will run in integers from end to end. */
  readonly static: readonly Pass[];
  /** Behind those, where grids of values can clamp. */
  readonly clamping: readonly Pass[];
  /** Behind those, where values have fewer codes than 8 bits. */
  readonly fewCodes: readonly Pass[];
}

/** All passes by container. TFLite models come out of their converter with batch norms folded and constants computed. */
export const PASSES: Readonly<Record<GraphContainer, Passes>> = {
  onnx: { first: FIRST, grids: GRIDS, general: GENERAL, static: STATIC, clamping: CLAMPING, fewCodes: FEW_CODES },
  tflite: {
    first: [],
    grids: [stripFakeQuant],
    general: [dropUnused, decodeConstants],
    static: [poolToMean],
    clamping: [],
    fewCodes: [],
  },
};

export { type Bounds, removableActivation } from "./clamps.ts";
export { weightConstants } from "./constant-nodes.ts";
export type { Pass, PassContext, ValueType } from "./pass.ts";
export { sameGrid, sameSteps } from "./qdq-pairs.ts";
export { raiseOpset } from "./raise-opset.ts";
export { stripQdq } from "./strip-qdq.ts";
