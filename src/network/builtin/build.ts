import type { Architecture, ChooseForm } from './architecture';
import { coordinates } from './architectures/coordinates';
import { encoder } from './architectures/encoder';
import { gpt } from './architectures/gpt';
import { nerf } from './architectures/nerf';
import { perceptron } from './architectures/perceptron';
import { resnet } from './architectures/resnet';
import { vgg } from './architectures/vgg';
import { vit } from './architectures/vit';
import { ArchitectureBuilder } from './builder';
import { requireFormsFit } from './forms';
import type { BuiltinNetworkRecipe } from './recipe';

/**
 * The network of a recipe, with its layers in the forms chosen for them. Nothing runs and nothing is allocated.
 *
 * @throws Error with one line: sizes that do not fit together, a form that does not fit its layer, or an entry of the
 *   recipe's `forms` that fits no layer
 */
export function buildArchitecture(recipe: BuiltinNetworkRecipe, chooseForm: ChooseForm): Architecture {
  const architecture = networkOf(new ArchitectureBuilder(chooseForm), recipe);
  requireFormsFit(recipe.forms, architecture);
  return architecture;
}

function networkOf(builder: ArchitectureBuilder, recipe: BuiltinNetworkRecipe): Architecture {
  switch (recipe.kind) {
    case 'perceptron':
      return perceptron(builder, recipe);
    case 'coordinates':
      return coordinates(builder, recipe);
    case 'nerf':
      return nerf(builder, recipe);
    case 'vgg':
      return vgg(builder, recipe);
    case 'resnet':
      return resnet(builder, recipe);
    case 'vit':
      return vit(builder, recipe);
    case 'gpt':
      return gpt(builder, recipe);
    case 'encoder':
      return encoder(builder, recipe);
  }
}
