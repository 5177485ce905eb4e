/** Checks of Einsum over equations. */
import type { GradCase } from "../gradcheck.case.ts";
import { of, single } from "./builders.case.ts";

const einsum = (equation: string, ...shapes: readonly (readonly number[])[]): GradCase =>
  single("Einsum", Object.fromEntries(shapes.map((shape, at) => [`x${at}`, of(shape)])), {
    attributes: { equation },
    opsets: [16, 21],
  });

export const einsumCases: readonly GradCase[] = [
  einsum("ij,jk->ik", [2, 3], [3, 4]),
  einsum("ij,jk", [2, 3], [3, 4]),
  einsum("bhqd,bhkd->bhqk", [2, 2, 3, 4], [2, 2, 5, 4]),
  einsum("b i d, d o -> b o i", [2, 3, 4], [4, 2]),
  einsum("ij->ji", [2, 3]),
  einsum("ij->i", [2, 3]),
  einsum("ij->", [2, 3]),
  einsum("ijk->kj", [2, 3, 4]),
  einsum("i,j->ij", [2], [3]),
  einsum("i,i->", [3], [3]),
  einsum("ij,ik,jk->i", [2, 3], [2, 4], [3, 4]),
  einsum("ijk,ij->i", [2, 3, 4], [2, 3]),
  einsum("...ij,...jk->...ik", [2, 2, 3], [2, 3, 2]),
  einsum("...ij,...jk->...ik", [2, 1, 2, 3], [2, 3, 3, 2]),
  einsum("...ij,jk->...ik", [2, 2, 3], [3, 2]),
  einsum("...ij->...i", [2, 2, 3]),
  einsum("ij,ij->ij", [2, 3], [1, 3]),
  einsum("ij,jk->ik", [2, 1], [3, 2]),
];
