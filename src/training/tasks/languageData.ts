/** Texts of a recipe, as tokens. */
import { CheckpointError } from '../../checkpoint/errors';
import { Pauses } from '../../network/data/pauses';
import { readText } from '../../network/data/text';
import type { TextData } from './recipe';
import { Vocabulary } from './vocabulary';

export const DEFAULT_CONTEXT = 64;
const DEFAULT_SHARE = 0.1;
/** A token's logits take memory in proportion; papers end at some hundred thousand. */
const MAX_CONTEXT = 2 ** 20;

export interface LanguageData {
  readonly vocabulary: Vocabulary;
  readonly context: number;
  readonly train: Uint16Array;
  readonly validation: Uint16Array;
  /** Of all files. */
  readonly identities: readonly string[];
}

export function contextOf({ context = DEFAULT_CONTEXT, path }: TextData): number {
  if (Number.isInteger(context) && context >= 1 && context <= MAX_CONTEXT) return context;
  throw new CheckpointError('unsupported', `a context of ${context} tokens`, { file: path });
}

export function shareOf({ validationShare = DEFAULT_SHARE, path }: TextData): number {
  if (validationShare > 0 && validationShare < 1) return validationShare;
  const reason = `a validation share of ${validationShare}: it must lie between 0 and 1`;
  throw new CheckpointError('malformed', reason, { file: path });
}

/** For `next` and `masked`. @throws CheckpointError for texts that have not one window; the signal's reason */
export async function openLanguageData(data: TextData, signal: AbortSignal): Promise<LanguageData> {
  const context = contextOf(data);
  const share = shareOf(data);
  const main = await readText(data.path, signal);
  const other = data.validation === undefined ? undefined : await readText(data.validation, signal);
  const alphabet = data.vocabulary === undefined ? undefined : await readText(data.vocabulary, signal);
  const pauses = new Pauses(signal);
  const vocabulary = await Vocabulary.of(
    alphabet === undefined ? [main.text, other?.text ?? ''] : [alphabet.text],
    data.task === 'masked',
    data.vocabulary ?? data.path,
    pauses,
  );
  const tokens = await vocabulary.encode(main.text, data.path, pauses);
  const end = other === undefined ? Math.floor(tokens.length * (1 - share)) : tokens.length;
  const validation =
    other === undefined
      ? tokens.subarray(end)
      : await vocabulary.encode(other.text, data.validation ?? '', pauses);
  const train = tokens.subarray(0, end);
  requireWindow(train, context, 'the text for training', data.path);
  requireWindow(validation, context, 'the text for validation', data.validation ?? data.path);
  const identities = [main, other, alphabet].map((text) => text?.identity ?? '');
  return { vocabulary, context, train, validation, identities };
}

/** A window and the token that follows it. */
function requireWindow(tokens: Uint16Array, context: number, what: string, file: string): void {
  if (tokens.length > context) return;
  const reason = `${what} has ${tokens.length} characters, too few for a context of ${context}`;
  throw new CheckpointError('malformed', reason, { file });
}
