/** Kernels as TensorFlow keeps them, window × channels × outputs, and as W, outputs × (channels · window). */

/** W in float64, outputs × inputs row-major, of a kernel's values. */
export function matrixOfKernel(kernel: Float32Array, window: number, channels: number): Float64Array {
  const inputs = window * channels;
  const outputs = inputs === 0 ? 0 : kernel.length / inputs;
  const matrix = new Float64Array(kernel.length);
  for (let tap = 0; tap < window; tap++) {
    for (let c = 0; c < channels; c++) {
      const row = (tap * channels + c) * outputs;
      for (let o = 0; o < outputs; o++) matrix[o * inputs + c * window + tap] = kernel[row + o] ?? 0;
    }
  }
  return matrix;
}

/** The kernel of W: the inverse of `matrixOfKernel`, rounded to float32. */
export function kernelOfMatrix(matrix: Float64Array, window: number, channels: number): Float32Array {
  const inputs = window * channels;
  const outputs = inputs === 0 ? 0 : matrix.length / inputs;
  const kernel = new Float32Array(matrix.length);
  for (let tap = 0; tap < window; tap++) {
    for (let c = 0; c < channels; c++) {
      const row = (tap * channels + c) * outputs;
      for (let o = 0; o < outputs; o++) kernel[row + o] = matrix[o * inputs + c * window + tap] ?? 0;
    }
  }
  return kernel;
}
