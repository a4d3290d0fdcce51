/** Which form each layer takes, as the `forms` of a recipe say. */
import { printable } from '../../checkpoint/errors';
import type { Architecture, ChooseForm, LayerFacts } from './architecture';
import type { FormRecipe, LayerForm } from './recipe';

/** All layers as they are. */
export const ALL_DENSE: ChooseForm = () => ({ kind: 'dense' });

/**
 * Of several entries that fit a layer, the last holds; one without an expression fits the layers that take forms where
 * none is asked for by name. A layer that none fits is dense.
 *
 * @throws Error naming an expression that is none
 */
export function chooseFormOf(forms: readonly FormRecipe[] | undefined): ChooseForm {
  const entries = (forms ?? []).map((entry) => ({ form: formOf(entry), fits: fitOf(entry) }));
  return (layer) => entries.findLast(({ fits }) => fits(layer))?.form ?? { kind: 'dense' };
}

/**
 * That every entry fits a layer: one that fits none is a slip in its expression.
 *
 * @throws Error naming the expression
 */
export function requireFormsFit(
  forms: readonly FormRecipe[] | undefined,
  { title, layers }: Pick<Architecture, 'title' | 'layers'>,
): void {
  for (const entry of forms ?? []) {
    if (layers.some(fitOf(entry))) continue;
    if (entry.layers === undefined)
      throw new Error(`${title} has no inner layers that would take a form: name layers with "layers"`);
    const [first] = layers;
    throw new Error(
      `no layer of ${title} is called like "${printable(entry.layers)}": its layers are called like "${first?.name ?? ''}"`,
    );
  }
}

function fitOf({ layers }: FormRecipe): (layer: Pick<LayerFacts, 'name' | 'isInner'>) => boolean {
  if (layers === undefined) return ({ isInner }) => isInner;
  const expression = expressionOf(layers);
  return ({ name }) => expression.test(name);
}

function expressionOf(text: string): RegExp {
  try {
    return new RegExp(text, 'u');
  } catch (error) {
    const [reason] = error instanceof Error ? error.message.split('\n') : [];
    throw new Error(`"layers" is no regular expression: ${printable(reason ?? text)}`, { cause: error });
  }
}

/** The entry without its expression. */
function formOf({ layers: _, ...form }: FormRecipe): LayerForm {
  return form;
}
