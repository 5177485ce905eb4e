import { describe, expect, test } from "vitest";
import { GRIDS, type GridName } from "./grids.ts";
import { type Lattice, latticeOf } from "./lattice.ts";

/** Every so manyth point is looked at; the search keeps something from one to the next, so those between are asked too. */
const EVERY = 61;

/** Points of the smallest distances by their definition: all squared distances, sorted. */
function nearest({ coordinates, bits, levels }: Lattice, code: number, shells: number): number[] {
  const distances = Array.from({ length: levels.length / coordinates }, (_, point) => {
    let sum = 0;
    for (let i = 0; i < coordinates; i++)
      sum += (((code >> (bits * i)) & ((1 << bits) - 1)) - levels[point * coordinates + i]!) ** 2;
    return sum;
  });
  const kept = [...new Set(distances)].sort((a, b) => a - b).slice(0, shells);
  return kept.flatMap((distance) => distances.flatMap((own, point) => (own === distance ? [point] : [])));
}

describe.each(Object.keys(GRIDS) as GridName[])("%s", (name) => {
  test("the neighbours of a point are the grid points of the nearest shells, in order", () => {
    const lattice = latticeOf(name);
    const found = lattice.offGrid.map((code) => lattice.neighbours(code));
    expect(found.length).toBeGreaterThan(EVERY);
    for (let i = 0; i < found.length; i += EVERY)
      expect([...found[i]!]).toEqual(nearest(lattice, lattice.offGrid[i]!, GRIDS[name].shells));
  });
});
