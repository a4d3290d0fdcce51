/** Singular values → ranks and diagnoses. Pure functions; knows neither files nor backends. */
export { ENERGY_LEVELS, energyRank, energyRanks, type EnergyLevel } from './energy';
export { decomposedParameters, isDecomposable } from './decomposition';
export { meanMetrics, meanSpectrum, rankMetrics, utilization, type RankMetrics } from './metrics';
export { randomEdge, spikesAbove } from './randomEdge';
