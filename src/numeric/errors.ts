/** What kind of thing went wrong; the command line turns it into an exit code, callers can branch on it. */
export type ErrorCode =
  | "usage" // the request itself is wrong: unknown scheme, missing file, output equal to input
  | "format" // a file is not what it claims to be
  | "limit" // a file asks for more than a named limit allows
  | "graph" // the model is readable but not legal
  | "data" // calibration or evaluation data does not fit the model
  | "engine" // the engine can't open or run the model
  | "unsupported" // legal, but fewbit or the target can't do it
  | "io" // reading or writing failed: permission, no space left
  | "cancelled"; // interrupted by the user

/** The one error fewbit throws: says where, what was found, what was expected, and what to do. */
export class FewbitError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "FewbitError";
    this.code = code;
  }
}

/** Throws a `FewbitError`; an expression, so it can stand after `??`. */
export function fail(code: ErrorCode, message: string, cause?: unknown): never {
  throw new FewbitError(code, message, cause === undefined ? undefined : { cause });
}
