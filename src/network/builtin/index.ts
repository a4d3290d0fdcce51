/** Networks that are built here, with every layer in the form a recipe asks for. */
export type {
  Architecture,
  BuiltinLayer,
  ChooseForm,
  LayerFacts,
  Parameter,
  Pass,
  Tensor,
  Tf,
  Values,
} from './architecture';
export { buildArchitecture } from './build';
export { ALL_DENSE, chooseFormOf, requireFormsFit } from './forms';
export { supplyKernels } from './kernels';
export { formsInCheckpoint, loadValues } from './load';
export { parametersOf, type ParameterCount } from './parameterCount';
export type { BuiltinKind, BuiltinNetworkRecipe, FormRecipe, LayerForm, LayerFormKind } from './recipe';
