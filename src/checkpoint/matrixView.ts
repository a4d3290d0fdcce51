/**
 * One matrix inside a tensor's contiguous row-major elements: element (i, j) is at
 * `offset + i * rowStride + j`. A whole linear layer has offset 0 and rowStride = columns.
 */
export interface MatrixView {
  readonly offset: number;
  readonly rows: number;
  readonly columns: number;
  readonly rowStride: number;
}
