/** Characters as tokens. */
import { CheckpointError } from '../../checkpoint/errors';
import type { Pauses } from '../../network/data/pauses';

/** Chinese news have 7,000; a file of more is no text, or too much for logits of a token each. */
const MAX_CHARACTERS = 16_384;
/** Characters between two looks at the clock. */
const STRIDE = 8192;

/** Tokens beside the characters, behind them in this order. */
const SPECIAL = ['mask', 'padding', 'unknown'] as const;

/** The characters of texts, sorted by code point, then (where there are any) the special tokens. */
export class Vocabulary {
  private readonly tokens: ReadonlyMap<string, number>;

  private constructor(
    readonly characters: readonly string[],
    readonly hasSpecial: boolean,
  ) {
    this.tokens = new Map(characters.map((character, token) => [character, token]));
  }

  /**
   * @param special whether there are tokens for what is covered, for what is behind the end, and for the unknown
   * @throws CheckpointError for texts of too many characters; the signal's reason
   */
  static async of(
    texts: readonly string[],
    special: boolean,
    file: string,
    pauses: Pauses,
  ): Promise<Vocabulary> {
    const found = new Set<string>();
    let count = 0;
    for (const text of texts) {
      for (const character of text) {
        if (++count % STRIDE === 0 && pauses.isDue) await pauses.pause();
        found.add(character);
        if (found.size > MAX_CHARACTERS) {
          const reason = `more than ${MAX_CHARACTERS} different characters: a token each is too many`;
          throw new CheckpointError('unsupported', reason, { file });
        }
      }
    }
    const sorted = [...found].sort((a, b) => (a.codePointAt(0) ?? 0) - (b.codePointAt(0) ?? 0));
    return new Vocabulary(sorted, special);
  }

  get size(): number {
    return this.characters.length + (this.hasSpecial ? SPECIAL.length : 0);
  }

  special(name: (typeof SPECIAL)[number]): number {
    if (!this.hasSpecial) throw new Error(`this vocabulary has no token for ${name}`);
    return this.characters.length + SPECIAL.indexOf(name);
  }

  /**
   * Tokens of a text, a character each, `most` of them at the most.
   *
   * @throws CheckpointError for a character that is not there, when there is no token for the unknown
   */
  async encode(text: string, file: string, pauses: Pauses, most = Infinity): Promise<Uint16Array> {
    const tokens = new Uint16Array(Math.min(text.length, most));
    let count = 0;
    for (const character of text) {
      if (count === most) break;
      if (count % STRIDE === 0 && pauses.isDue) await pauses.pause();
      const token = this.tokens.get(character);
      if (token === undefined && !this.hasSpecial) {
        const reason = `the character ${JSON.stringify(character)} is not in the vocabulary`;
        throw new CheckpointError('malformed', reason, { file });
      }
      tokens[count++] = token ?? this.special('unknown');
    }
    return tokens.slice(0, count);
  }
}
