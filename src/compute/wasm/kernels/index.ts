// The exports of the kernel module: everything works on addresses into the imported memory, which the caller lays out.
export {
  decodeFloat16,
  decodeBfloat16,
  decodeFloat8E4M3,
  decodeFloat8E5M2,
  largestMagnitude64,
} from './decode';
export { packRows32, packColumns32, packRows64, packColumns64, addOuterProduct, addProduct } from './gram';
export { tridiagonalWorkspace, tridiagonalizePanel } from './tridiagonal';
export { tridiagonalEigenvalues } from './values';
export { foldRows, bidiagonalize, widenRows32, widenColumns32, widenRows64, widenColumns64 } from './bidiagonal';
export { leafEigen } from './leaf';
export { mergeEigen, mergeWorkspace } from './merge';
export { reflectBack, reflectBackWorkspace } from './backTransform';
export { packTransposed32, sineGradient, weightedSineGradient } from './sine';
export { adamStep, addNoise } from './adam';
