/** The text of a recipe, and its fields. */
import { CheckpointError, printable } from '../checkpoint/errors';
import { withFile } from '../checkpoint/file';
import { RecipeFields } from './recipeFields';

/** A recipe has about a thousand bytes; the longest lists are means of channels. */
const MAX_RECIPE_BYTES = 1024 * 1024;

export const RECIPE_SCHEMA = 'rankscope/recipe@1';

/** @param file absolute. @throws CheckpointError */
export function readRecipeText(file: string): Promise<string> {
  return withFile(file, async (opened) => {
    if (opened.size > MAX_RECIPE_BYTES) {
      const reason = `${opened.size} bytes are too many for a recipe: at most ${MAX_RECIPE_BYTES}`;
      throw new CheckpointError('unsupported', reason, { file });
    }
    return Buffer.from(await opened.read(0, opened.size)).toString('utf8');
  });
}

/** The fields of a recipe of this version. @throws CheckpointError */
export function recipeFields(text: string, file: string): RecipeFields {
  const fields = new RecipeFields(parseJson(text, file), '', file);
  fields.has('$schema');
  const schema = fields.requiredText('schema', `"${RECIPE_SCHEMA}"`);
  if (schema !== RECIPE_SCHEMA) throw fields.fieldError('schema', `must be "${RECIPE_SCHEMA}"`, schema);
  return fields;
}

function parseJson(text: string, file: string): unknown {
  try {
    // Editors on Windows begin files with this mark.
    return JSON.parse(text.replace(/^\ufeff/, ''));
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    const offset = /position (\d+)/.exec(detail)?.[1];
    const location = offset === undefined ? { file } : { file, offset: Number(offset) };
    throw new CheckpointError('malformed', `not valid JSON: ${printable(detail)}`, location, {
      cause: error,
    });
  }
}
