import path from 'node:path';

/** The name of a file without its folder and extension: the name of a tensor that is all there is in the file. */
export function stemOf(file: string): string {
  return path.parse(file).name;
}
