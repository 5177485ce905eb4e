/** Reading attributes with their default, so that callers never look at the tagged union. */
import { fail } from "../numeric/errors.ts";
import type { Attribute, Graph, Node, Tensor } from "./model.ts";

const utf8 = new TextDecoder();

type Values = { readonly [A in Attribute as A["type"]]: A["value"] };

function typed<T extends Attribute["type"]>(node: Node, name: string, type: T): Values[T] | undefined {
  const found = node.attributes[name];
  if (found === undefined) return undefined;
  if (found.type !== type)
    fail("graph", `node "${node.name}" (${node.op}): attribute ${name} is of type ${found.type}, expected ${type}`);
  return found.value as Values[T];
}

/** An integer attribute as a number; of another type it is an error of code "graph", as for all of these. */
export const intAttribute = (node: Node, name: string, otherwise: number): number =>
  Number(typed(node, name, "int") ?? otherwise);

/** A float attribute. */
export const floatAttribute = (node: Node, name: string, otherwise: number): number =>
  typed(node, name, "float") ?? otherwise;

/** A string attribute, decoded as UTF-8. */
export const stringAttribute = (node: Node, name: string, otherwise: string): string => {
  const bytes = typed(node, name, "string");
  return bytes === undefined ? otherwise : utf8.decode(bytes);
};

/** A list of integers as numbers; undefined when absent. */
export const intsAttribute = (node: Node, name: string): readonly number[] | undefined =>
  typed(node, name, "ints")?.map(Number);

/** A tensor attribute; undefined when absent. */
export const tensorAttribute = (node: Node, name: string): Tensor | undefined => typed(node, name, "tensor");

/** Sub-graphs of a node with the attribute that holds each: If, Loop, Scan. */
export const subgraphs = (node: Node): readonly { readonly attribute: string; readonly graph: Graph }[] =>
  Object.entries(node.attributes).flatMap(([attribute, { type, value }]) =>
    type === "graph"
      ? [{ attribute, graph: value }]
      : type === "graphs"
        ? value.map((graph, index) => ({ attribute: `${attribute}[${index}]`, graph }))
        : [],
  );
