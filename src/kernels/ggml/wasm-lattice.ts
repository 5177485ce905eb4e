/** The search of the IQ2 and IQ3 types in WebAssembly: one machine for each codebook, whose tables lie in its memory. */

import { SUPER } from "./format.ts";
import type { GridName } from "./grids.ts";
import { type Lattice, latticeOf, pointCode } from "./lattice.ts";
import { found, type LatticeSearch, type SearchSuper } from "./lattice-search.ts";
import { type Machine, startMachine, TABLES_AT, VALUES_AT, WEIGHTS_AT } from "./machine.ts";

/** Where the program leaves what it found (`assembly/lattice.ts`). */
const FOUND_AT = 6144;

/** A codebook as the program reads it (`assembly/neighbours.ts`). */
interface Tables {
  /** Grid index of every point's code, or -1 - where its list begins. */
  readonly places: Int32Array;
  /** The neighbours of all points off the grid. */
  readonly lists: Uint8Array;
}

/** Whether each level of a point's code is one that the codebook has. */
function isPoint(code: number, { coordinates, bits }: Lattice, levels: number): boolean {
  for (let i = 0; i < coordinates; i++) if (((code >> (bits * i)) & ((1 << bits) - 1)) >= levels) return false;
  return true;
}

/** Codes of the points off the grid, in ascending order. */
function* offGrid(lattice: Lattice): Iterable<number> {
  const levels = lattice.bits === 2 ? 3 : 8;
  for (let code = 0; code < lattice.indexOf.length; code++)
    if (lattice.indexOf[code]! < 0 && isPoint(code, lattice, levels)) yield code;
}

/** Lists of a count and so many codes; places count in 16 bits. */
function listsOfCodes(lattice: Lattice): Tables {
  const places = Int32Array.from(lattice.indexOf);
  const lists: number[] = [];
  for (const code of offGrid(lattice)) {
    places[code] = -1 - lists.length;
    const neighbours = lattice.neighbours(code);
    lists.push(neighbours.length);
    for (const index of neighbours) lists.push(pointCode(lattice, lattice.levels, index * lattice.coordinates));
  }
  return { places, lists: new Uint8Array(Uint16Array.from(lists).buffer) };
}

/** Eight neighbours, the last repeated, as bytes 2 l + 1: each coordinate of four of them side by side, twice, then each for itself. */
function eight({ coordinates, levels }: Lattice, neighbours: Uint16Array, first: number): Uint8Array {
  const bytes = new Uint8Array(64);
  for (let k = 0; k < 8; k++) {
    const point = neighbours[Math.min(first + k, neighbours.length - 1)]! * coordinates;
    for (let i = 0; i < coordinates; i++) {
      const odd = 2 * levels[point + i]! + 1;
      bytes[16 * (k >> 2) + 4 * i + (k & 3)] = odd;
      bytes[32 + 4 * k + i] = odd;
    }
  }
  return bytes;
}

/** Lists of eights; places count in bytes, with the number of eights in the lowest six bits. */
function listsOfEights(lattice: Lattice): Tables {
  const places = Int32Array.from(lattice.indexOf);
  const lists: Uint8Array[] = [];
  for (const code of offGrid(lattice)) {
    const neighbours = lattice.neighbours(code);
    const count = Math.ceil(neighbours.length / 8);
    places[code] = -1 - ((lists.length << 6) | count);
    for (let k = 0; k < count; k++) lists.push(eight(lattice, neighbours, 8 * k));
  }
  const bytes = new Uint8Array(64 * lists.length);
  for (const [k, one] of lists.entries()) bytes.set(one, 64 * k);
  return { places, lists: bytes };
}

/** A machine with the codebook in its memory; the codes of points come first, for their alignment. */
function startLattice(name: GridName): Machine {
  const lattice = latticeOf(name);
  const { places, lists } = lattice.bits === 2 ? listsOfCodes(lattice) : listsOfEights(lattice);
  const machine = startMachine(places.byteLength + lists.byteLength);
  const { memory } = machine.program;
  const listsAt = TABLES_AT + places.byteLength;
  new Int32Array(memory.buffer, TABLES_AT).set(places);
  new Uint8Array(memory.buffer, listsAt).set(lists);
  machine.program.setTables(TABLES_AT, listsAt);
  return machine;
}

const REFINE: Readonly<Record<LatticeSearch["refine"], number>> = {
  "off grid": 0,
  "all if any is off grid": 1,
  all: 2,
};

function startSearch(search: LatticeSearch): Machine {
  const machine = startLattice(search.grid);
  const { sub, top, evenSigns, epsilon, steps, step, refine, searchesMaximum } = search;
  machine.program.setSearch(sub, top, +evenSigns, epsilon, steps, step, REFINE[refine], +searchesMaximum);
  return machine;
}

const machines = new Map<GridName, Machine>();

/** The machine of a codebook, made once by `start`. */
export function latticeMachine(name: GridName, start: () => Machine = () => startLattice(name)): Machine {
  const known = machines.get(name);
  if (known) return known;
  const made = start();
  machines.set(name, made);
  return made;
}

/** Every codebook has one search. */
const machineFor = (search: LatticeSearch): Machine => latticeMachine(search.grid, () => startSearch(search));

/** `found` from the program's memory: indices, signs, skipped sub-blocks, scales, one behind the other. */
function readFound({ buffer }: { readonly buffer: ArrayBuffer }): void {
  let at = FOUND_AT;
  found.indices.set(new Uint16Array(buffer, at, found.indices.length));
  at += found.indices.byteLength;
  found.signs.set(new Uint8Array(buffer, at, found.signs.length));
  at += found.signs.byteLength;
  found.skipped.set(new Uint8Array(buffer, at, found.skipped.length));
  at += found.skipped.byteLength;
  found.scales.set(new Float32Array(buffer, at, found.scales.length));
}

/** `searchSuper` in WebAssembly, the same operations in the same order. */
export const searchSuperWasm: SearchSuper = (search, x, from, importance, weightsFrom) => {
  const { program, values, weights } = machineFor(search);
  values.set(x.subarray(from, from + SUPER));
  if (importance !== undefined) weights.set(importance.subarray(weightsFrom, weightsFrom + SUPER));
  const { sigma2, raisesSquares } = search;
  const weightsAt = importance === undefined ? 0 : WEIGHTS_AT;
  const most = program.searchSuper(VALUES_AT, weightsAt, sigma2, +(raisesSquares && importance === undefined));
  readFound(program.memory);
  return most;
};
