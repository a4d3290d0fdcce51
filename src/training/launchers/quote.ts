/** Command lines for people, and for scripts. */

/** One word of a POSIX shell, whatever is in it. */
export function posixWord(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** One word as Windows' programs take their command line apart: quotes doubled up by backslashes before them. */
export function windowsWord(word: string): string {
  if (/^[\w@+=:,./\\-]+$/.test(word)) return word;
  return `"${word.replace(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, '$1$1')}"`;
}

/** A command as a person could type it on this system. */
export function commandLine(command: readonly string[], platform: string = process.platform): string {
  return command.map(platform === 'win32' ? windowsWord : posixWord).join(' ');
}
