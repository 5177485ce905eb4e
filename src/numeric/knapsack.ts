/**
 * One option for each of many items, so that all sizes together fit a budget and the cost is least (the multiple-choice
 * knapsack): a Lagrangian bound decides most items, dynamic programming the rest.
 */

/** One way to have an item. Both numbers are finite and not negative; sizes are whole. */
export interface KnapsackOption {
  readonly size: number;
  readonly cost: number;
}

/** What was chosen. */
export interface Allocation {
  /** Index of the option of each item. */
  readonly choices: readonly number[];
  readonly size: number;
  readonly cost: number;
  /** No choice within the budget costs less than this. */
  readonly bound: number;
}

type Items = readonly (readonly KnapsackOption[])[];

/** Cells that dynamic programming may look at: about a second. */
const MAX_STEPS = 3e8;
/** Bytes of its table of decisions. */
const MAX_TABLE = 1 << 26;

const option = (items: Items, choices: readonly number[], item: number): KnapsackOption =>
  items[item]![choices[item]!]!;

function totals(items: Items, choices: readonly number[]): KnapsackOption {
  let [size, cost] = [0, 0];
  for (let item = 0; item < items.length; item++) {
    size += option(items, choices, item).size;
    cost += option(items, choices, item).cost;
  }
  return { size, cost };
}

/** Indices by size, those that are larger without being cheaper left out. */
function frontier(options: readonly KnapsackOption[]): readonly number[] {
  const order = options.map((_, i) => i).sort((a, b) => compare(options[a]!, options[b]!) || a - b);
  let best = Number.POSITIVE_INFINITY;
  return order.filter((i) => {
    const { cost } = options[i]!;
    if (cost >= best) return false;
    best = cost;
    return true;
  });
}

const compare = (a: KnapsackOption, b: KnapsackOption): number => a.size - b.size || a.cost - b.cost;

/** What a byte more gains on the way from one option to a larger one. */
const slope = (from: KnapsackOption, to: KnapsackOption): number => (from.cost - to.cost) / (to.size - from.size);

/** Of a frontier, those on its lower convex hull: every step gains less per byte than the one before. */
function hull(options: readonly KnapsackOption[], sorted: readonly number[]): readonly number[] {
  const kept: number[] = [];
  const at = (back: number): KnapsackOption => options[kept.at(back)!]!;
  for (const i of sorted) {
    while (kept.length > 1 && slope(at(-2), at(-1)) <= slope(at(-1), options[i]!)) kept.pop();
    kept.push(i);
  }
  return kept;
}

interface Step {
  readonly item: number;
  readonly to: number;
  readonly more: number;
  readonly slope: number;
}

function stepsOf(items: Items, hulls: readonly (readonly number[])[]): readonly Step[] {
  const steps = hulls.flatMap((indices, item) =>
    indices.slice(1).map((to, i): Step => {
      const [a, b] = [items[item]![indices[i]!]!, items[item]![to]!];
      return { item, to, more: b.size - a.size, slope: slope(a, b) };
    }),
  );
  return steps.sort((a, b) => b.slope - a.slope || a.item - b.item);
}

interface Greedy {
  readonly choices: readonly number[];
  /** Worth of a byte where the budget ends; 0 where it does not. */
  readonly price: number;
}

/** Takes the steps that gain most per byte as long as they fit; an item whose step did not fit stays where it is. */
function greedy(items: Items, hulls: readonly (readonly number[])[], budget: number): Greedy {
  const choices = hulls.map((indices) => indices[0]!);
  let left = budget - totals(items, choices).size;
  let price = 0;
  const stuck = new Set<number>();
  for (const { item, to, more, slope: gain } of stepsOf(items, hulls)) {
    if (stuck.has(item)) continue;
    if (more > left) {
      if (stuck.size === 0) price = gain;
      stuck.add(item);
      continue;
    }
    choices[item] = to;
    left -= more;
  }
  return { choices, price };
}

/** What an option costs when bytes have a price. */
const priced = ({ size, cost }: KnapsackOption, price: number): number => cost + price * size;

interface Core {
  /** Options of each item that a better choice may still have, smallest first. */
  readonly open: readonly (readonly number[])[];
  readonly bound: number;
}

/** Leaves out what no choice better than `cost` can have: the Lagrangian bound with such an option is already above. */
function coreOf(items: Items, price: number, budget: number, cost: number): Core {
  const least = items.map((options) =>
    options.reduce((low, each) => Math.min(low, priced(each, price)), Number.POSITIVE_INFINITY),
  );
  const bound = least.reduce((sum, each) => sum + each, 0) - price * budget;
  const open = items.map((options, item) =>
    frontier(options).filter((i) => bound + priced(options[i]!, price) - least[item]! < cost),
  );
  return { open, bound };
}

function gcd(a: number, b: number): number {
  while (b > 0) [a, b] = [b, a % b];
  return a;
}

/** Bytes that dynamic programming counts in: the largest that keeps all sizes exact, or more where that takes too long. */
function unitOf(increments: readonly (readonly number[])[], left: number): number {
  const exact = increments.flat().reduce(gcd, 0);
  const options = increments.reduce((sum, each) => sum + each.length, 0);
  const most = Math.min(MAX_STEPS / options, MAX_TABLE / increments.length);
  return exact * Math.max(1, Math.ceil(left / exact / most));
}

/** Costs of the best choices for every number of units so far, with one more item; `taken` keeps its option. */
function addItem(best: Float64Array, weights: readonly number[], costs: readonly number[], taken: Uint8Array): void {
  for (let units = best.length - 1; units >= 0; units--) {
    let [low, index] = [Number.POSITIVE_INFINITY, 0];
    for (let i = 0; i < weights.length; i++) {
      const before = units - weights[i]!;
      if (before < 0) continue;
      const cost = best[before]! + costs[i]!;
      if (cost < low) [low, index] = [cost, i];
    }
    best[units] = low;
    taken[units] = index;
  }
}

/** The best choice among the open options; sizes are rounded up to units, so that the budget holds. */
function solveCore(items: Items, { open }: Core, choices: readonly number[], budget: number): readonly number[] {
  const free = open.flatMap((indices, item) => (indices.length > 1 ? [item] : []));
  const base = choices.map((own, item) => open[item]![0] ?? own);
  const left = budget - totals(items, base).size;
  const size = (item: number, i: number): number => items[item]![i]!.size;
  const increments = free.map((item) => open[item]!.map((i) => size(item, i) - size(item, base[item]!)));
  if (free.length === 0 || left < 0) return choices;
  const unit = unitOf(increments, left);
  const weights = increments.map((each) => each.map((bytes) => Math.ceil(bytes / unit)));
  const best = new Float64Array(Math.floor(left / unit) + 1);
  const taken = free.map(() => new Uint8Array(best.length));
  free.forEach((item, i) => {
    addItem(
      best,
      weights[i]!,
      open[item]!.map((each) => items[item]![each]!.cost),
      taken[i]!,
    );
  });
  const result = [...base];
  for (let i = free.length - 1, units = best.length - 1; i >= 0; i--) {
    const index = taken[i]![units]!;
    result[free[i]!] = open[free[i]!]![index]!;
    units -= weights[i]![index]!;
  }
  return result;
}

/** Sum of the smallest options: no budget below it can be kept. */
export const smallestSize = (items: Items): number =>
  items.reduce((sum, options) => sum + Math.min(...options.map(({ size }) => size)), 0);

/**
 * The cheapest choice within the budget; undefined where even the smallest options pass it. It is the best there is
 * unless sizes had to be rounded, for thousands of items of odd sizes; `bound` tells how far it can be from that.
 */
export function allocate(items: Items, budget: number): Allocation | undefined {
  if (smallestSize(items) > budget) return undefined;
  const hulls = items.map((options) => hull(options, frontier(options)));
  const { choices, price } = greedy(items, hulls, budget);
  const found = totals(items, choices);
  if (price === 0) return { choices, ...found, bound: found.cost };
  const core = coreOf(items, price, budget, found.cost);
  const better = solveCore(items, core, choices, budget);
  const improved = totals(items, better);
  const [result, sums] = improved.cost < found.cost ? [better, improved] : [choices, found];
  return { choices: result, ...sums, bound: Math.min(core.bound, sums.cost) };
}
