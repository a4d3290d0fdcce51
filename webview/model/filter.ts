/** What the filter field's text means: a part of a name, or a regular expression between slashes. */

export type NameFilter =
  | { readonly kind: 'all' }
  | { readonly kind: 'text'; readonly lowerCase: string }
  | { readonly kind: 'pattern'; readonly pattern: RegExp }
  | { readonly kind: 'invalid'; readonly message: string };

/** Flags that make sense for a test of one name. */
const PATTERN = /^\/(.+)\/([isu]*)$/s;

/** `layer3`, `/conv[12]$/`, `/CONV/i`. A lone slash is text: TensorFlow's names have slashes in them. */
export function parseFilter(text: string): NameFilter {
  const trimmed = text.trim();
  if (trimmed === '') return { kind: 'all' };
  const [, source, flags] = PATTERN.exec(trimmed) ?? [];
  if (source === undefined) return { kind: 'text', lowerCase: trimmed.toLowerCase() };
  try {
    return { kind: 'pattern', pattern: new RegExp(source, flags) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { kind: 'invalid', message: message.replace(/^Invalid regular expression: /, '') };
  }
}

/** An invalid pattern hides nothing: a half-typed one must not empty the table. */
export function matchesFilter(filter: NameFilter, name: string): boolean {
  switch (filter.kind) {
    case 'text':
      return name.toLowerCase().includes(filter.lowerCase);
    case 'pattern':
      return filter.pattern.test(name);
    case 'all':
    case 'invalid':
      return true;
  }
}
