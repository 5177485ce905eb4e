/** What ended processes left unfinished, for the one that goes on with it. */
import { renameSync } from "node:fs";
import { abandonedFor, removeTemporary, resumablePath, type UnfinishedKind } from "./temporaries.ts";

/** Gives what an ended process left this one's name; what can't be had is another's or gone. */
function takeOver(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch {
    return false;
  }
}

/** Under a name of this process first: what another takes meanwhile stays whole. */
async function remove(old: string, target: string): Promise<void> {
  const away = resumablePath(target);
  takeOver(old, away);
  await removeTemporary(away);
}

/** Gives an unfinished `target` of an ended process the name `path`, where there is one, and removes others. */
export async function takeAbandoned(target: string, path: string, kind: UnfinishedKind): Promise<boolean> {
  let found = false;
  for (const old of await abandonedFor(target, kind)) {
    if (found) await remove(old, target);
    else found = takeOver(old, path);
  }
  return found;
}
