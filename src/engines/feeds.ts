/** Checks what is fed before the engine sees it, so that the message can say both what was found and what was expected. */
import type { Dim, Feeds, NDArray, ValueInfo } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";

const list = (names: Iterable<string>): string => [...names].map((name) => `"${name}"`).join(", ") || "nothing";
const shapeText = (shape: readonly Dim[]): string => `[${shape.map((length) => length ?? "?").join(", ")}]`;

const fits = (expected: readonly Dim[], found: readonly number[]): boolean =>
  expected.length === found.length &&
  expected.every((length, axis) => typeof length !== "number" || length === found[axis]);

function checkInput(input: ValueInfo, array: NDArray): void {
  if (input.dtype !== array.dtype)
    fail("data", `input "${input.name}": dtype ${array.dtype} was given, ${input.dtype ?? "not a tensor"} is expected`);
  if (input.shape !== undefined && !fits(input.shape, array.shape))
    fail(
      "data",
      `input "${input.name}": shape ${shapeText(array.shape)} was given, ${shapeText(input.shape)} is expected`,
    );
}

/** Throws unless the feeds are exactly the model's inputs, each of its dtype and of a shape that fits. */
export function checkFeeds(inputs: ReadonlyMap<string, ValueInfo>, feeds: Feeds): void {
  for (const name of Object.keys(feeds))
    if (!inputs.has(name)) fail("data", `the model has no input "${name}"; its inputs are ${list(inputs.keys())}`);
  for (const input of inputs.values()) {
    const array = Object.hasOwn(feeds, input.name) ? feeds[input.name] : undefined;
    if (array === undefined) fail("data", `input "${input.name}" is missing; ${list(Object.keys(feeds))} was given`);
    checkInput(input, array);
  }
}

/** Throws unless every name is an output. */
export function checkFetches(outputs: ReadonlyMap<string, ValueInfo>, fetches: readonly string[]): void {
  for (const name of fetches)
    if (!outputs.has(name)) fail("data", `the model has no output "${name}"; its outputs are ${list(outputs.keys())}`);
}
