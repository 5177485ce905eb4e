import { describe, expect, test } from "vitest";
import { sideBySide } from "./side-by-side.ts";

const never = new AbortController().signal;
const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await Promise.resolve();
};

describe("work side by side", () => {
  test.each([1, 2, 3, 9])("is at most %i at a time, all of it begun in order and answered in order", async (most) => {
    let now = 0;
    let busiest = 0;
    const begun: number[] = [];
    const found = await sideBySide([9, 1, 5, 2, 7], most, never, async (length) => {
      begun.push(length);
      busiest = Math.max(busiest, ++now);
      await turns(length);
      now--;
      return 10 * length;
    });
    expect(busiest).toBe(Math.min(most, 5));
    expect(begun).toEqual([9, 1, 5, 2, 7]);
    expect(found).toEqual([90, 10, 50, 20, 70]);
  });

  test("stops at the first failure: what runs is told, what waits never begins, and all have ended by then", async () => {
    const ended: string[] = [];
    const work = async (name: string, signal: AbortSignal) => {
      if (name === "bad") throw new Error("it is bad");
      while (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, 1));
      ended.push(name);
      throw new Error("stopped");
    };
    await expect(sideBySide(["long", "bad", "later"], 2, never, work)).rejects.toThrow("it is bad");
    expect(ended).toEqual(["long"]);
  });

  test("is cancelled from outside, also where the work itself does not mind", async () => {
    const stop = new AbortController();
    const begun: number[] = [];
    const work = async (item: number) => {
      begun.push(item);
      stop.abort();
    };
    await expect(sideBySide([1, 2, 3], 1, stop.signal, work)).rejects.toMatchObject({ code: "cancelled" });
    expect(begun).toEqual([1]);
  });
});
