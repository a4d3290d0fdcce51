import type { Report } from './report';
import type { CentralHeader, LocalHeader, ZipDirectory, ZipHeader } from './zipRecords';

const ENCRYPTED = 0x0001;
/** A descriptor after the data holds what the local header leaves at zero. */
const DESCRIPTOR = 0x0008;
/** Patches, strong encryption, masked headers. */
const UNREADABLE: readonly (readonly [number, string])[] = [
  [ENCRYPTED, 'encrypted'],
  [0x0020, 'a patch'],
  [0x0040, 'strongly encrypted'],
  [0x2000, 'masked'],
];
const SYMBOLIC_LINK = 0o120000;
const KIND_OF_FILE = 0o170000;

/** An archive's folder that torch.save calls after a file `...pt`: all entries lie in it. */
const OWN_FOLDER = '../';

/** What is odd about the archive as a whole. */
export function reportDirectory(directory: ZipDirectory, where: string, report: Report): void {
  const say = (message: string, offset?: number) => {
    report.find('suspicious', 'archive', message, where, offset);
  };
  if (directory.prepended > 0) say(`${directory.prepended} bytes stand before the archive`, 0);
  if (directory.prepended < 0) say('the directory is not where it says it is', directory.start);
  if (directory.trailing > 0) say(`${directory.trailing} bytes follow the archive`, directory.end);
  if (directory.commentBytes > 0)
    say(`a comment of ${directory.commentBytes} bytes`, directory.end - directory.commentBytes);
  if (directory.isCut)
    say(`the directory lists ${directory.entries.length} of ${directory.count} entries`, directory.start);
  const names = new Set<string>();
  for (const { name } of directory.entries) {
    if (names.has(name)) say(`two entries are called "${name}": programs differ in which they take`);
    names.add(name);
  }
}

/** What is odd about one entry's name, kind and flags. */
export function reportEntry(entry: CentralHeader, folder: string, where: string, report: Report): void {
  reportPath(
    entry.name.startsWith(folder) ? entry.name.slice(folder.length) : entry.name,
    entry.name,
    where,
    report,
  );
  if ((entry.mode & KIND_OF_FILE) === SYMBOLIC_LINK)
    report.find('suspicious', 'path', `entry "${entry.name}" is a link to another file`, where, entry.local);
  for (const [flag, what] of UNREADABLE)
    if ((entry.flags & flag) !== 0)
      report.find(
        'suspicious',
        'archive',
        `entry "${entry.name}" says that it is ${what}`,
        where,
        entry.local,
      );
}

/** @returns `../` when that is the archive's own folder, as of a file called `...pt`; else empty. */
export function ownFolder(entries: readonly { readonly name: string }[]): string {
  return entries.length > 0 && entries.every(({ name }) => name.startsWith(OWN_FOLDER)) ? OWN_FOLDER : '';
}

/** A name that leads out of its archive or folder. */
export function reportPath(inside: string, name: string, where: string, report: Report): void {
  // eslint-disable-next-line no-control-regex -- a zero byte cuts the name short for some programs
  if (/^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)|\u0000/.test(inside))
    report.find('suspicious', 'path', `the name "${name}" leads elsewhere`, where);
}

/** Where the two headers of an entry differ: one program reads one of them, another the other. */
export function reportDifferences(
  entry: CentralHeader,
  local: LocalHeader,
  where: string,
  report: Report,
): void {
  const say = (message: string) => {
    report.find('suspicious', 'archive', `entry "${entry.name}" ${message}`, where, local.offset);
  };
  if (local.name !== entry.name) say(`is called "${local.name}" where its data begins`);
  if (local.method !== entry.method) say(`has two compression methods, ${entry.method} and ${local.method}`);
  for (const [flag, what] of UNREADABLE)
    if (((entry.flags ^ local.flags) & flag) !== 0) say(`is ${what} in only one of its headers`);
  const isLater = (local.flags & DESCRIPTOR) !== 0;
  const differs = (key: keyof Pick<ZipHeader, 'size' | 'compressed' | 'crc'>) =>
    entry[key] !== local[key] && !(isLater && (local[key] === 0 || local[key] === 0xffffffff));
  if (differs('size') || differs('compressed')) say('has two sizes');
  if (differs('crc')) say('has two checksums');
}
