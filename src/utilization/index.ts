/**
 * Input Grams and weights → subspaces → utilized ranks ("Revealing the Utilized Rank of
 * Subspaces of Learning in Neural Networks"). Knows networks only as lists of layers; runs none itself.
 */
export { eigenbasis, isFiniteGram, weightedEnergies, type Compute, type Eigenbasis } from './eigenbasis';
export { LayerProjections, mean, type ErrorCertificate, type ProjectionFacts } from './layerProjections';
export type { Factors } from './group';
export { ledgerOf, flopsOf, type LayerLedger } from './ledger';
export type { ProbeOutcome, Side } from './probe';
export { rankOf, singularValuesOf } from './rank';
export {
  passesBound,
  passesFor,
  searchDimensions,
  threshold,
  type ChosenDimensions,
  type ProbeQuestion,
  type SearchHost,
  type SearchSettings,
} from './search';
