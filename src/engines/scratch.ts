/** Where an engine may put files for a moment. The engines themselves touch no file system; `node/` hands this in. */
export interface Scratch {
  /** Makes a fresh folder and returns its path. */
  folder(): Promise<string>;
  /** Paths of the files in it. */
  files(folder: string): Promise<readonly string[]>;
  read(path: string): Promise<Uint8Array>;
  /** Removes the folder and everything in it. */
  remove(folder: string): Promise<void>;
}
