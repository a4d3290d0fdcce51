/**
 * Input Grams and weights → subspaces → utilized ranks ("Revealing the Utilized Rank of
 * Subspaces of Learning in Neural Networks"). Knows networks only as lists of layers; runs none itself.
 */
export { eigenbasis, isFiniteGram, type Compute, type Eigenbasis } from './eigenbasis';
export { LayerProjections, type ErrorCertificate, type ProjectionFacts, type Side } from './layerProjections';
export type { Factors } from './group';
export { ledgerOf, flopsOf, type LayerLedger } from './ledger';
export { rankOf, singularValuesOf } from './rank';
export {
  passesBound,
  passesFor,
  searchDimensions,
  threshold,
  type ChosenDimensions,
  type ProbeOutcome,
  type ProbeQuestion,
  type SearchHost,
  type SearchSettings,
} from './search';
