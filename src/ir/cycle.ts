/** Finds nodes that feed each other. */
import { producers, reads } from "./edit.ts";
import type { Graph, Node } from "./model.ts";

/** A node on the way down, and which of the nodes it depends on comes next. */
interface Step {
  readonly node: Node;
  readonly needs: readonly Node[];
  next: number;
}

/**
 * Nodes of one cycle, the first one repeated at the end, or undefined when there is none. Depth first with an own stack,
 * since a chain of 100,000 nodes is legal. Linear in nodes and edges.
 */
export function findCycle(graph: Graph): readonly Node[] | undefined {
  const makers = producers(graph);
  const done = new Set<Node>();
  const step = (node: Node): Step => ({
    node,
    needs: reads(node).flatMap((name) => makers.get(name) ?? []),
    next: 0,
  });
  for (const start of graph.nodes) {
    const cycle = done.has(start) ? undefined : walk(step(start), step, done);
    if (cycle) return cycle;
  }
  return undefined;
}

function walk(start: Step, step: (node: Node) => Step, done: Set<Node>): readonly Node[] | undefined {
  const path = [start];
  const onPath = new Set([start.node]);
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const need = top.needs[top.next++];
    if (need === undefined) {
      path.pop();
      onPath.delete(top.node);
      done.add(top.node);
    } else if (onPath.has(need)) {
      const nodes = path.map(({ node }) => node);
      return [need, ...nodes.slice(nodes.indexOf(need) + 1).reverse(), need];
    } else if (!done.has(need)) {
      path.push(step(need));
      onPath.add(need);
    }
  }
  return undefined;
}
