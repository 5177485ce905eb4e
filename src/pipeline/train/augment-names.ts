/** Augmentations as `--augment` names them. */
import { fail } from "../../numeric/errors.ts";
import { list } from "../report/format.ts";
import { type Augment, mixup } from "./augment.ts";
import { color, cutout, flip, shift, warp } from "./augment-images.ts";

/** One that can be asked for by name, and what may stand behind a colon. */
interface AugmentRow {
  readonly make: (setting?: number) => Augment;
  /** How the setting is written; none is taken where absent. */
  readonly setting?: { readonly says: string; readonly fits: (value: number) => boolean };
}

const MAX_PIXELS = 1024;
const PIXELS: AugmentRow["setting"] = {
  says: `PIXELS, a whole number from 1 to ${MAX_PIXELS}`,
  fits: (value) => Number.isInteger(value) && value >= 1 && value <= MAX_PIXELS,
};
const SHARE: AugmentRow["setting"] = { says: "SHARE, above 0 and at most 1", fits: (value) => value > 0 && value <= 1 };

/** Augmentations by the names that `--augment` takes. */
export const AUGMENTS: Readonly<Record<string, AugmentRow>> = {
  flip: { make: flip },
  shift: { make: shift, setting: PIXELS },
  cutout: { make: cutout, setting: PIXELS },
  warp: { make: warp, setting: SHARE },
  color: { make: color, setting: SHARE },
  mixup: { make: mixup, setting: SHARE },
};

/** "flip", "shift:2", "cutout:16", "mixup:0.5". */
export function augmentNamed(text: string): Augment {
  const [name = "", written] = text.split(":", 2);
  const row = Object.hasOwn(AUGMENTS, name) ? AUGMENTS[name] : undefined;
  if (row === undefined) return fail("usage", `unknown augmentation "${name}"; known: ${list(Object.keys(AUGMENTS))}`);
  if (written === undefined) return row.make();
  const { setting } = row;
  if (setting === undefined) return fail("usage", `augmentation "${text}": ${name} takes no setting; write ${name}`);
  const value = written.trim() === "" ? Number.NaN : Number(written);
  return setting.fits(value)
    ? row.make(value)
    : fail("usage", `augmentation "${text}": expected ${name}:${setting.says}`);
}
