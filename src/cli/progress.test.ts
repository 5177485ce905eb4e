import { describe, expect, it } from "vitest";
import { fakeIo } from "./fake.case.ts";
import { CLEAR_LINE, displayWidth } from "./io.ts";
import { createProgress, duration } from "./progress.ts";

/** A clock that stands still until it is told. */
const clock = () => {
  const state = { time: 0, now: () => state.time };
  return state;
};

describe("on a terminal", () => {
  it("redraws one line at most ten times a second, with rate and time left, and clears it", () => {
    const io = fakeIo({ isTTY: true });
    const time = clock();
    const step = createProgress(io, { now: time.now }).step("calibrating", 1000);
    for (let i = 0; i < 500; i++) {
      time.time += 10;
      step.tick();
    }
    step.done();
    const draws = io.err.filter((text) => text.includes("calibrating"));
    expect(draws.length).toBeLessThanOrEqual(51);
    expect(draws.at(-1)).toMatch(/calibrating {2}━+─+ {2}\d+ % {2}100\/s {2}5.0 s left$/);
    expect(io.err.at(-1)).toBe(CLEAR_LINE);
    expect(io.err.join("")).not.toContain("\n");
  });

  it("names the unit where there is one", () => {
    const io = fakeIo({ isTTY: true });
    const time = clock();
    const step = createProgress(io, { now: time.now }).step("quantizing", 1000, "MB");
    time.time = 2000;
    step.tick(500);
    expect(io.err.at(-1)).toMatch(/50 % {2}250 MB\/s {2}2.0 s left$/);
  });

  it("never writes a line as wide as the terminal", () => {
    for (const columns of [5, 20, 38, 60]) {
      const io = fakeIo({ isTTY: true, columns });
      const time = clock();
      const step = createProgress(io, { now: time.now }).step("measuring 模型", 10);
      time.time = 1000;
      step.tick(3);
      for (const text of io.err) expect(displayWidth(text.replaceAll(CLEAR_LINE, ""))).toBeLessThan(columns);
    }
  });

  it("comes back to the outer step when an inner one ends", () => {
    const io = fakeIo({ isTTY: true });
    const progress = createProgress(io);
    const outer = progress.step("outer", 2);
    progress.step("inner", 2).done("4 things");
    outer.tick();
    expect(io.err.join("")).toContain("inner: 4 things, 0.0 s\n");
    expect(io.err.at(-1)).toContain("outer");
  });
});

describe("in a log", () => {
  it("writes a line per step, and then only after ten seconds and ten percent", () => {
    const io = fakeIo();
    const time = clock();
    const step = createProgress(io, { now: time.now }).step("calibrating", 100);
    for (let i = 0; i < 100; i++) {
      time.time += 1000;
      step.tick();
    }
    step.done("100 samples");
    expect(io.err[0]).toBe("calibrating (100)\n");
    expect(io.err[1]).toBe("calibrating, 10 %, 1.0/s, 1 min 30 s left\n");
    expect(io.err.at(-1)).toBe("calibrating: 100 samples, 1 min 40 s\n");
    expect(io.err).toHaveLength(12);
  });

  it("says nothing when quiet", () => {
    const io = fakeIo();
    const progress = createProgress(io, { quiet: true });
    progress.note("hello");
    progress.step("x", 3).done("y");
    expect(io.err).toEqual([]);
  });
});

it("writes durations in two units at most", () => {
  expect([3.2, 61, 3600, 7384].map(duration)).toEqual(["3.2 s", "1 min 1 s", "1 h 0 min", "2 h 3 min"]);
});
