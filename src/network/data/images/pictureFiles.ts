/** Pictures in a folder or a zip, and the classes that their folders name. */
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { CheckpointError } from '../../../checkpoint/errors';
import { ioError, RandomAccessFile } from '../../../checkpoint/file';
import { countOf } from '../../../checkpoint/wording';
import { ZipArchive } from '../../../checkpoint/zip';

/** A compressed picture of 33 million pixels has some 50 MB. */
const MAX_PICTURE_BYTES = 64 * 1024 * 1024;
/** ImageNet has 1.3 million pictures in its largest folder tree. */
const MAX_PICTURES = 4_000_000;

const PICTURE_NAME = /\.(?:png|jpe?g)$/i;
/** What systems leave in folders and archives for themselves. */
const HIDDEN = /(?:^|\/)(?:\.|__MACOSX(?:\/|$)|Thumbs\.db$)/;

export interface PictureFile {
  /** Path inside the folder or zip, with forward slashes. */
  readonly name: string;
  /** Place for messages. */
  readonly location: { readonly file: string; readonly offset?: number };
  read(): Promise<Uint8Array>;
}

export interface PictureFiles {
  /** Classes taken in turns where there are any, so that every range has all of them. */
  readonly files: readonly PictureFile[];
  /** Index of each picture's folder among the sorted folder names; absent for pictures without folders. */
  readonly labels?: Int32Array;
  readonly notes: readonly string[];
  close(): Promise<void>;
}

/** @throws CheckpointError when there are no pictures, or folders of different depths */
export async function listPictures(given: string): Promise<PictureFiles> {
  const isFolder = await stat(given).then(
    (facts) => facts.isDirectory(),
    (error: unknown) => {
      throw ioError(error, given);
    },
  );
  return isFolder ? inFolder(given) : inZip(given);
}

async function inFolder(folder: string): Promise<PictureFiles> {
  const top = await entriesOf(folder);
  const names = top.files;
  for (const name of top.folders) {
    const inside = await entriesOf(path.join(folder, name));
    if (inside.folders.length > 0 && inside.files.length === 0) {
      const reason = `folders inside the class folder "${name}": give the folder whose folders are the classes`;
      throw new CheckpointError('unsupported', reason, { file: folder });
    }
    for (const file of inside.files) names.push(`${name}/${file}`);
  }
  return arrange(
    folder,
    names,
    (name) => {
      const file = path.join(folder, ...name.split('/'));
      return { name, location: { file }, read: () => readPicture(file) };
    },
    () => Promise.resolve(),
  );
}

async function entriesOf(folder: string): Promise<{ readonly files: string[]; readonly folders: string[] }> {
  const files: string[] = [];
  const folders: string[] = [];
  try {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const isLink = entry.isSymbolicLink();
      const facts = isLink ? await stat(path.join(folder, entry.name)) : entry;
      if (facts.isDirectory()) folders.push(entry.name);
      else if (facts.isFile()) files.push(entry.name);
    }
  } catch (error) {
    throw ioError(error, folder);
  }
  return { files, folders: folders.filter((name) => !HIDDEN.test(name)) };
}

async function readPicture(file: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(file);
    requireSmall(size, { file });
    return await readFile(file);
  } catch (error) {
    throw ioError(error, file);
  }
}

async function inZip(given: string): Promise<PictureFiles> {
  const file = await RandomAccessFile.open(given);
  try {
    const archive = await ZipArchive.open(file);
    const names = [...archive.entries.keys()].filter((name) => !name.endsWith('/'));
    return arrange(
      given,
      names,
      (name) => {
        const entry = archive.entries.get(name);
        const location = { file: given, ...(entry && { offset: entry.localHeader }) };
        const read = (): Uint8Array => {
          requireSmall(entry?.byteLength ?? 0, location);
          return entry === undefined ? new Uint8Array(0) : archive.read(entry);
        };
        return { name, location, read: () => Promise.resolve().then(read) };
      },
      () => file.close(),
    );
  } catch (error) {
    await file.close();
    throw error;
  }
}

function requireSmall(bytes: number, location: PictureFile['location']): void {
  if (bytes <= MAX_PICTURE_BYTES) return;
  const reason = `a picture of ${bytes} bytes: at most ${MAX_PICTURE_BYTES} are read`;
  throw new CheckpointError('unsupported', reason, location);
}

/** Pictures by class in turns; the class is the folder that a picture lies in. */
function arrange(
  given: string,
  names: readonly string[],
  open: (name: string) => PictureFile,
  close: () => Promise<void>,
): PictureFiles {
  const visible = names.filter((name) => !HIDDEN.test(name));
  const pictures = visible.filter((name) => PICTURE_NAME.test(name));
  const fail = (reason: string): CheckpointError =>
    new CheckpointError('unsupported', reason, { file: given });
  if (pictures.length === 0) throw fail('no PNG or JPEG pictures in it');
  if (pictures.length > MAX_PICTURES)
    throw fail(`${pictures.length} pictures: at most ${MAX_PICTURES} are read`);
  const folderOf = (name: string): string => path.posix.dirname(name);
  const folders = [...new Set(pictures.map(folderOf))].sort();
  const depths = new Set(folders.map((folder) => (folder === '.' ? 0 : folder.split('/').length)));
  if (depths.size > 1)
    throw fail(
      'pictures at different depths: give a folder whose folders are the classes, and nothing beside them',
    );
  const leftOut = visible.length - pictures.length;
  const notes =
    leftOut === 0 ? [] : [`${countOf(leftOut, 'file')} in ${given} left out: neither PNG nor JPEG`];
  const byClass = folders.map((): string[] => []);
  const place = new Map(folders.map((folder, index) => [folder, index]));
  for (const name of [...pictures].sort()) byClass[place.get(folderOf(name)) ?? 0]?.push(name);
  const turns = inTurns(byClass);
  const isClassified = !depths.has(0);
  return {
    files: turns.map(({ name }) => open(name)),
    ...(isClassified && { labels: Int32Array.from(turns, ({ label }) => label) }),
    notes,
    close,
  };
}

function inTurns(
  byClass: readonly (readonly string[])[],
): { readonly name: string; readonly label: number }[] {
  const longest = Math.max(...byClass.map((names) => names.length));
  return Array.from({ length: longest }, (_, turn) =>
    byClass.flatMap((names, label) => {
      const name = names[turn];
      return name === undefined ? [] : [{ name, label }];
    }),
  ).flat();
}
