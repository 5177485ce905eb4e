/** Errors of the file system in words. */
import { type ErrorCode, FewbitError } from "../numeric/errors.ts";

interface Words {
  readonly code: ErrorCode;
  readonly text: string;
}

const WORDS: Readonly<Record<string, Words>> = {
  ENOENT: { code: "usage", text: "there is no such file or folder; check the path" },
  ENOTDIR: { code: "usage", text: "a part of the path is a file where a folder was expected; check the path" },
  EISDIR: { code: "usage", text: "this is a folder; name a file" },
  ENAMETOOLONG: { code: "usage", text: "the name is too long for this file system; choose a shorter one" },
  ELOOP: { code: "usage", text: "its symbolic links lead in a circle; repair them" },
  EACCES: { code: "io", text: "permission denied; check the rights of the file and its folder" },
  EPERM: { code: "io", text: "the operating system does not permit it; check the rights of the file and its folder" },
  EROFS: { code: "io", text: "the file system is read-only; choose another folder" },
  ENOSPC: { code: "io", text: "no space is left on the device; free some or choose another folder" },
  EDQUOT: { code: "io", text: "your disk quota is used up; free some space or choose another folder" },
  EFBIG: {
    code: "io",
    text: "the file would be larger than this file system or process allows; choose another folder",
  },
  EMFILE: { code: "io", text: "too many files are open; close some programs or raise the limit" },
  EBUSY: { code: "io", text: "the file is in use by another program; close it and try again" },
  EIO: { code: "io", text: "the device reported an error; check the disk" },
};

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;

/** Anything thrown while `doing` something ("read", "write") with a path, as a `FewbitError`; those pass unchanged. */
export function ioError(error: unknown, doing: string, path: string): FewbitError {
  if (error instanceof FewbitError) return error;
  const known = WORDS[codeOf(error) ?? ""];
  const text = known?.text ?? (error instanceof Error ? error.message : String(error));
  return new FewbitError(known?.code ?? "io", `can't ${doing} "${path}": ${text}`, { cause: error });
}

/** Runs `work`; what it throws says what was being done with which path. */
export async function withIoErrors<T>(doing: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw ioError(error, doing, path);
  }
}
