/** All commands, in the order of `fewbit --help`. */
import type { Command } from "../command.ts";
import { bench } from "./bench.ts";
import { compare } from "./compare.ts";
import { convert } from "./convert.ts";
import { demo } from "./demo.ts";
import { inspect } from "./inspect.ts";
import { quantize } from "./quantize.ts";
import { schemes } from "./schemes.ts";
import { train } from "./train.ts";

export const COMMANDS: readonly Command[] = [quantize, train, inspect, compare, bench, convert, schemes, demo];
