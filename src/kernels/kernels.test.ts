import { describe, expect, it } from "vitest";
import { CODE_TABLES } from "./codebook.ts";
import { kernelContract } from "./contract.case.ts";
import { fastestKernels, typescriptKernels, wasmKernels } from "./index.ts";
import { referenceCode } from "./reference.ts";

kernelContract("TypeScript", typescriptKernels);
kernelContract("WebAssembly", wasmKernels);

it("this runtime runs WebAssembly SIMD, so that is what is used", () => {
  expect(fastestKernels()).toBe(wasmKernels);
});

describe("code tables", () => {
  for (const [name, table] of Object.entries(CODE_TABLES))
    it(`${name}: every entry of the table is its own code`, () => {
      // FP4 has a second zero, which no value takes.
      for (const [code, value] of table.values.entries())
        if (!Object.is(value, -0)) expect(referenceCode(value, table), `${value}`).toBe(code);
    });

  it("nf4: bounds lie half way between neighbours, to 7 digits", () => {
    const { values, bounds } = CODE_TABLES.nf4;
    for (let i = 0; i < 15; i++) expect(Math.abs(bounds[i]! - (values[i]! + values[i + 1]!) / 2)).toBeLessThan(1e-7);
  });
});
