/** The search of the IQ2 and IQ3 types in WebAssembly: one machine for each codebook, whose tables lie in its memory. */

import { SUPER } from "./format.ts";
import type { GridName } from "./grids.ts";
import { type Lattice, latticeOf } from "./lattice.ts";
import { found, type LatticeSearch, type SearchSuper } from "./lattice-search.ts";
import { type Machine, startMachine, TABLES_AT, VALUES_AT, WEIGHTS_AT } from "./machine.ts";

/** Where the program leaves what it found (`assembly/lattice.ts`). */
const FOUND_AT = 6144;

/** A codebook as the program reads it. */
interface Tables {
  /** Levels of the grid points times 32. */
  readonly levels: Uint8Array;
  /** Grid index of every point's code, or -1 - where its list begins. */
  readonly places: Int32Array;
  /** Of every point off the grid the number of its neighbours and their indices. */
  readonly lists: Uint16Array;
}

/** Whether each level of a point's code is one that the codebook has. */
function isPoint(code: number, { coordinates, bits }: Lattice, levels: number): boolean {
  for (let i = 0; i < coordinates; i++) if (((code >> (bits * i)) & ((1 << bits) - 1)) >= levels) return false;
  return true;
}

function tablesOf(lattice: Lattice): Tables {
  const levels = lattice.bits === 2 ? 3 : 8;
  const places = new Int32Array(lattice.indexOf).fill(-1);
  const lists: number[] = [];
  for (let code = 0; code < places.length; code++) {
    const index = lattice.indexOf[code]!;
    if (index >= 0) places[code] = index;
    if (index >= 0 || !isPoint(code, lattice, levels)) continue;
    places[code] = -1 - lists.length;
    const neighbours = lattice.neighbours(code);
    lists.push(neighbours.length, ...neighbours);
  }
  return { levels: lattice.levels.map((level) => level * 32), places, lists: Uint16Array.from(lists) };
}

/** A machine with the codebook in its memory; the codes of points come first, for their alignment. */
function startLattice(name: GridName): Machine {
  const lattice = latticeOf(name);
  const { levels, places, lists } = tablesOf(lattice);
  const machine = startMachine(places.byteLength + lists.byteLength + levels.byteLength);
  const { memory } = machine.program;
  const listsAt = TABLES_AT + places.byteLength;
  const levelsAt = listsAt + lists.byteLength;
  new Int32Array(memory.buffer, TABLES_AT).set(places);
  new Uint16Array(memory.buffer, listsAt).set(lists);
  new Uint8Array(memory.buffer, levelsAt).set(levels);
  machine.program.setTables(lattice.coordinates, lattice.bits, levelsAt, TABLES_AT, listsAt);
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

/** Every codebook has one search. */
function machineFor(search: LatticeSearch): Machine {
  const known = machines.get(search.grid);
  if (known) return known;
  const made = startSearch(search);
  machines.set(search.grid, made);
  return made;
}

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
