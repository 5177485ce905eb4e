import { float } from "../../ir/build.ts";
import type { GradCase } from "../gradcheck.case.ts";
import { of, single } from "./builders.case.ts";

const gemms: readonly GradCase[] = [0, 1].flatMap((transA) =>
  [0, 1].flatMap((transB) =>
    [[3, 5], [5], [3, 1], []].map((c) =>
      single(
        "Gemm",
        { a: of(transA ? [4, 3] : [3, 4]), b: of(transB ? [5, 4] : [4, 5]), c: of(c) },
        { attributes: { transA, transB, alpha: float(0.7), beta: float(1.3) } },
      ),
    ),
  ),
);

const matmuls: readonly GradCase[] = (
  [
    [
      [3, 4],
      [4, 5],
    ],
    [
      [2, 3, 4],
      [4, 5],
    ],
    [
      [2, 1, 3, 4],
      [4, 2],
    ],
    [
      [2, 3, 4],
      [2, 4, 5],
    ],
    [
      [3, 4],
      [2, 4, 5],
    ],
    [
      [2, 1, 3, 4],
      [3, 4, 2],
    ],
    [[4], [4, 5]],
    [[3, 4], [4]],
    [[4], [4]],
    [[4], [2, 4, 3]],
    [[2, 3, 4], [4]],
  ] as const
).map(([a, b]) => single("MatMul", { a: of(a), b: of(b) }));

export const productCases: readonly GradCase[] = [...gemms, ...matmuls];
