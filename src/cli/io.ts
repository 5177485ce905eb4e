/** The terminal a command talks to; handed in, so that tests can listen. */

export interface Output {
  write(text: string): unknown;
}

export interface Io {
  readonly stdout: Output;
  readonly stderr: Output;
  /** Progress may redraw its line: stderr is a terminal that can move its cursor. */
  readonly isTTY: boolean;
  /** Width of the terminal behind stderr. */
  readonly columns: number;
  /** Width of the terminal behind stdout; Infinity for files and pipes. */
  readonly width: number;
  /** Colours and bold are wanted. */
  readonly color: boolean;
  /** Aborted when the user wants to stop. */
  readonly signal: AbortSignal;
}

const STYLES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
} as const satisfies Record<string, readonly [number, number]>;

export type Style = keyof typeof STYLES;

const ESC = String.fromCharCode(27);

/** Wraps text in an ANSI style where colours are wanted. */
export const paint = (io: Pick<Io, "color">, style: Style, text: string): string =>
  io.color ? `${ESC}[${STYLES[style][0]}m${text}${ESC}[${STYLES[style][1]}m` : text;

/** Erases the line the cursor stands in. */
export const CLEAR_LINE = `\r${ESC}[2K`;

const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u;
const STYLED = new RegExp(`${ESC}\\[\\d+m`, "g");

/** Columns a text takes in a terminal: styles take none, East Asian wide letters and pictographs two. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const letter of text.replace(STYLED, ""))
    width += WIDE.test(letter) || (letter.codePointAt(0) ?? 0) > 0x1f000 ? 2 : 1;
  return width;
}
