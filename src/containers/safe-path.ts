/** Locations of files named inside a model: they must stay in the model's folder, on every operating system. */
import { fail } from "../numeric/errors.ts";

/** Longest location accepted; file systems stop at 4096 bytes a path and 255 a name. */
const MAX_LOCATION = 1024;

/** Names that are devices on Windows whatever their extension: opening one may hang. */
const DEVICE = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

const isControl = (char: string): boolean => char.charCodeAt(0) < 0x20 || char === "\u007f";

/** What is wrong with a location; each row is asked in turn. */
const COMPLAINTS: readonly (readonly [string, (location: string) => boolean])[] = [
  ["is empty", (location) => location.trim() === ""],
  [`is longer than ${MAX_LOCATION} characters`, (location) => location.length > MAX_LOCATION],
  ["contains control characters", (location) => [...location].some(isControl)],
  ["contains a backslash; locations are written with /", (location) => location.includes("\\")],
  ["is an absolute path", (location) => location.startsWith("/")],
  ["names a drive or address", (location) => /^[a-z][a-z0-9+.-]*:/i.test(location)],
  ["leaves the folder with ..", (location) => location.split("/").includes("..")],
  ["does not name a file", (location) => /(^|\/)\.?$/.test(location)],
  ["names a device", (location) => location.split("/").some((part) => DEVICE.test(part))],
];

/**
 * The location with `.` and empty parts removed. Fails unless it is a relative path below the model's folder; a symbolic
 * link may still lead outside, which only the file system can tell.
 */
export function safeLocation(location: string, where: string): string {
  const complaint = COMPLAINTS.find(([, applies]) => applies(location))?.[0];
  if (complaint !== undefined)
    fail(
      "format",
      `${where}: external data location ${JSON.stringify(location.slice(0, 80))} ${complaint}; expected a file in the model's own folder`,
    );
  return location
    .split("/")
    .filter((part) => part !== "" && part !== ".")
    .join("/");
}
