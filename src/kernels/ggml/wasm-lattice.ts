/** The search of the IQ2 and IQ3 types in WebAssembly: one machine for each codebook, whose tables lie in its memory. */

import { SUPER } from "./format.ts";
import type { GridName } from "./grids.ts";
import { type Lattice, latticeOf } from "./lattice.ts";
import { type Found, type LatticeSearch, roomForFound, type SearchFor } from "./lattice-search.ts";
import { type Machine, startMachine, TABLES_AT, VALUES_AT, WEIGHTS_AT } from "./machine.ts";

/** Where the program leaves what it found (`assembly/lattice.ts`). */
const FOUND_AT = 6144;

/** A codebook as the program reads it (`assembly/neighbours.ts`). */
interface Tables {
  /** Grid index of every point's code, or -1 - where its list begins. */
  readonly places: Int32Array;
  /** The neighbours of all points off the grid. */
  readonly lists: Uint32Array;
  /** How many neighbours the longest list has. */
  readonly longest: number;
}

/** Where the halves of every point of the codebook are in a table of eight bytes each, those of upper halves behind the others. */
function offsets({ coordinates, bits, levels }: Lattice): Uint16Array {
  const half = coordinates / 2;
  const found = new Uint16Array((levels.length / coordinates) * 2);
  for (let i = 0; i < levels.length; i++) found[Math.floor(i / half)]! |= levels[i]! << (3 + bits * (i % half));
  const upper = half === 4 ? 2048 : 512;
  for (let k = 1; k < found.length; k += 2) found[k]! += upper;
  return found;
}

/** Lists of a count and so many points in 32 bits each, in which places count. */
function tablesOf(lattice: Lattice): Tables {
  const places = Int32Array.from(lattice.indexOf);
  const points = new Uint32Array(offsets(lattice).buffer);
  const lists = new Uint32Array(lattice.offGrid.reduce((sum, code) => sum + 1 + lattice.neighbours(code).length, 0));
  let at = 0;
  let longest = 0;
  for (const code of lattice.offGrid) {
    const neighbours = lattice.neighbours(code);
    places[code] = -1 - at;
    lists[at++] = neighbours.length;
    longest = Math.max(longest, neighbours.length);
    for (let k = 0; k < neighbours.length; k++) lists[at++] = points[neighbours[k]!]!;
  }
  return { places, lists, longest };
}

/** A machine with the codebook in its memory. */
function startLattice(name: GridName): Machine {
  const lattice = latticeOf(name);
  const { places, lists, longest } = tablesOf(lattice);
  const machine = startMachine(places.byteLength + lists.byteLength);
  const { memory } = machine.program;
  const listsAt = TABLES_AT + places.byteLength;
  new Int32Array(memory.buffer, TABLES_AT).set(places);
  new Uint32Array(memory.buffer, listsAt).set(lists);
  machine.program.setTables(TABLES_AT, listsAt, lattice.coordinates, longest);
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

/** What the program found, where it lies: indices, signs, skipped sub-blocks, scales, one behind the other. */
function viewsOn(buffer: ArrayBuffer): Found {
  const room = roomForFound();
  const indices = new Uint16Array(buffer, FOUND_AT, room.indices.length);
  const signs = new Uint8Array(buffer, indices.byteOffset + indices.byteLength, room.signs.length);
  const skipped = new Uint8Array(buffer, signs.byteOffset + signs.byteLength, room.skipped.length);
  const scales = new Float32Array(buffer, skipped.byteOffset + skipped.byteLength, room.scales.length);
  return { indices, signs, skipped, scales };
}

interface Started extends Machine {
  readonly found: Found;
}

function started(search: LatticeSearch): Started {
  const machine = machineFor(search);
  return { ...machine, found: viewsOn(machine.program.memory.buffer) };
}

/** The search in WebAssembly, the same operations in the same order; its machine starts with the first block. */
export const searchForWasm: SearchFor = (search) => {
  const { sigma2, raisesSquares } = search;
  let machine: Started | undefined;
  const ready = (): Started => {
    machine ??= started(search);
    return machine;
  };
  return {
    get found() {
      return ready().found;
    },
    run(x, from, importance, weightsFrom) {
      const { program, values, weights } = ready();
      values.set(x.subarray(from, from + SUPER));
      if (importance !== undefined) weights.set(importance.subarray(weightsFrom, weightsFrom + SUPER));
      const weightsAt = importance === undefined ? 0 : WEIGHTS_AT;
      return program.searchSuper(VALUES_AT, weightsAt, sigma2, +(raisesSquares && importance === undefined));
    },
  };
};
