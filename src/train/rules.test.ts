import { afterAll, expect, test } from "vitest";
import { CASES } from "./checks/index.case.ts";
import { gradientError, TOLERANCE } from "./gradcheck.case.ts";
import { RULES } from "./rules/index.ts";

/** Ops of fewbit's own round, which no difference sees: their gradients are compared with a reference beside them. */
const publicRules = Object.keys(RULES).filter((op) => !op.startsWith("fewbit."));

const worst = new Map<string, number>();

test("every gradient rule has a check, and every check a rule", () => {
  expect([...new Set(CASES.map(({ op }) => op))].sort()).toEqual(publicRules.sort());
});

test.for([...new Set(CASES.map(({ op }) => op))])("gradients of %s agree with central differences", async (op) => {
  for (const checked of CASES.filter((other) => other.op === op)) {
    const error = await gradientError(checked).catch((cause) => {
      throw new Error(`${op} ${checked.label}: ${cause.message}`, { cause });
    });
    worst.set(op, Math.max(worst.get(op) ?? 0, error));
    expect(error, `${op} ${checked.label}`).toBeLessThan(TOLERANCE[checked.precision ?? "float64"]);
  }
});

afterAll(() => {
  const rows = [...worst].map(([op, error]) => {
    const single = CASES.some((checked) => checked.op === op && checked.precision === "float32");
    return `  ${op.padEnd(26)} ${error.toExponential(1)} ${single ? "float32" : "float64"}`;
  });
  console.log(["worst relative error of each gradient rule:", ...rows].join("\n"));
});
