/** Characters that terminals obey or hide, beyond those JSON itself escapes: controls and bidirectional marks. */
const UNPRINTABLE = /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** An array of numbers spread over lines; strings cannot match, their line feeds are escaped. */
const NUMBERS = /\[\n\s+(-?\d[^[\]{}"]*?)\n\s+\]/g;

/** Documents as JSON for people and tools: indented, arrays of numbers on one line, safe to print. */
export function renderJson(value: unknown): string {
  const text = JSON.stringify(value, null, 2)
    .replace(NUMBERS, (_, numbers: string) => `[${numbers.replace(/\s+/g, ' ')}]`)
    .replace(UNPRINTABLE, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return `${text}\n`;
}
