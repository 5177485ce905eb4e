/** Progress on stderr: one redrawn line on a terminal, plain lines in logs. */
import type { Progress, ProgressStep } from "../pipeline/progress.ts";
import { compact, printable } from "../pipeline/report/format.ts";
import { CLEAR_LINE, displayWidth, type Io, paint } from "./io.ts";

/** A line is redrawn at most ten times a second; a log gets a line at most every ten seconds and ten percent. */
const REDRAW_MS = 100;
const LOG_MS = 10_000;
const LOG_SHARE = 0.1 - 1e-9;
/** Before this much time, a rate says nothing. */
const RATE_AFTER_MS = 500;
const BAR_WIDTH = 24;

/** "1.5 s", "42 s", "3 min 20 s", "1 h 5 min". */
export function duration(seconds: number): string {
  if (seconds < 9.95) return `${Math.max(0, seconds).toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

interface State {
  readonly title: string;
  readonly total: number | undefined;
  /** With a space before it. */
  readonly unit: string;
  readonly begun: number;
  done: number;
  shownAt: number;
  shownShare: number;
  /** Said by the last tick. */
  said: string;
}

/** Rate and time left, as far as they can be told. */
function pace(state: State, now: number): readonly string[] {
  const elapsed = now - state.begun;
  if (elapsed < RATE_AFTER_MS || state.done === 0) return [];
  const rate = (state.done * 1000) / elapsed;
  const texts = [`${rate >= 10 ? compact(Math.round(rate)) : rate.toFixed(1)}${state.unit}/s`];
  if (state.total !== undefined && state.done < state.total)
    texts.push(`${duration((state.total - state.done) / rate)} left`);
  return texts;
}

const share = ({ done, total }: State): number => (total === undefined || total <= 0 ? 0 : Math.min(1, done / total));

function bar(io: Io, part: number): string {
  const full = Math.round(part * BAR_WIDTH);
  return paint(io, "green", "━".repeat(full)) + paint(io, "dim", "─".repeat(BAR_WIDTH - full));
}

/** The redrawn line; parts are left out from the right until it fits. */
function drawn(io: Io, state: State, now: number): string {
  const { title, total, done } = state;
  const head = total === undefined ? [title] : [title, bar(io, share(state)), `${Math.floor(share(state) * 100)} %`];
  const tail = total === undefined && done === 0 ? [duration((now - state.begun) / 1000)] : pace(state, now);
  const parts = [...head, ...(state.said === "" ? [] : [state.said]), ...tail];
  while (parts.length > 1 && displayWidth(parts.join("  ")) >= io.columns) parts.pop();
  const line = parts.join("  ");
  return displayWidth(line) < io.columns ? line : [...line].slice(0, Math.max(0, io.columns - 1)).join("");
}

function logged(state: State, now: number): string {
  const { title, total, done, unit } = state;
  const where = total === undefined ? `${compact(done)}${unit}` : `${Math.floor(share(state) * 100)} %`;
  return [title, where, ...(state.said === "" ? [] : [state.said]), ...pace(state, now)].join(", ");
}

/** Progress that writes to `io.stderr`; nothing at all when `quiet`. */
export function createProgress(io: Io, options: { quiet?: boolean; now?: () => number } = {}): Progress {
  const now = options.now ?? (() => performance.now());
  let current: State | undefined;
  const write = (text: string) => io.stderr.write(text);
  const clear = () => io.isTTY && current !== undefined && write(CLEAR_LINE);
  const line = (text: string) => {
    clear();
    write(`${printable(text)}\n`);
    if (io.isTTY && current !== undefined) write(drawn(io, current, now()));
  };

  const redraw = (state: State): void => {
    const time = now();
    if (time - state.shownAt < REDRAW_MS && state.done !== 0) return;
    state.shownAt = time;
    write(CLEAR_LINE + drawn(io, state, time));
  };
  const log = (state: State): void => {
    const time = now();
    if (time - state.shownAt < LOG_MS || (state.total !== undefined && share(state) - state.shownShare < LOG_SHARE))
      return;
    state.shownAt = time;
    state.shownShare = share(state);
    line(logged(state, time));
  };

  const step = (title: string, total?: number, unit?: string): ProgressStep => {
    const begun = now();
    const state: State = {
      ...{ title: printable(title), total, unit: unit === undefined ? "" : ` ${unit}` },
      ...{ begun, done: 0, shownAt: begun, shownShare: 0, said: "" },
    };
    const outer = current;
    clear();
    current = state;
    if (io.isTTY) redraw(state);
    else write(`${state.title}${total === undefined || total < 2 ? "" : ` (${compact(total)}${state.unit})`}\n`);
    return {
      tick(units = 1, said = "") {
        state.done += units;
        state.said = printable(said);
        if (current === state) (io.isTTY ? redraw : log)(state);
      },
      done(note) {
        clear();
        if (current === state) current = outer;
        if (note !== undefined) line(`${state.title}: ${note}, ${duration((now() - begun) / 1000)}`);
        else if (io.isTTY && current !== undefined) redraw(current);
      },
    };
  };
  const noop: ProgressStep = { tick() {}, done() {} };
  return options.quiet ? { step: () => noop, note() {} } : { step, note: line };
}
