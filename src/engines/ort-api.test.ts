import { expect, test } from "vitest";
import { sessionOptions } from "./ort-api.ts";

const spins = (...wish: Parameters<typeof sessionOptions>): string =>
  (sessionOptions(...wish).extra as { session: { intra_op: { allow_spinning: string } } }).session.intra_op
    .allow_spinning;

test("threads sleep between operators unless they are told to stay awake and there are several", () => {
  expect(spins(2)).toBe("0");
  expect(spins(1, "all", true)).toBe("0");
  expect(spins(2, "all", true)).toBe("1");
});
