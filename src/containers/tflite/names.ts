/** Unique names for tensors, which TFLite knows by number and may leave unnamed or name alike. */

/** One name for each entry: its own where nobody before had it, else one made of it. */
export function uniqueNames(names: readonly (string | undefined)[]): readonly string[] {
  const own = new Set(names.filter((name) => name !== undefined && name !== ""));
  const taken = new Set<string>();
  const last = new Map<string, number>();
  const fresh = (wish: string): string => {
    let number = last.get(wish) ?? 0;
    let name = wish;
    while (taken.has(name) || (name !== wish && own.has(name))) name = `${wish}_${++number}`;
    last.set(wish, number);
    return name;
  };
  return names.map((name, index) => {
    const wish = name || `tensor_${index}`;
    const made = name || !own.has(wish) ? fresh(wish) : fresh(`${wish}_unnamed`);
    taken.add(made);
    return made;
  });
}
