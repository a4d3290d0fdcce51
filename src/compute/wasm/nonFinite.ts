/** A matrix holds NaN or infinite elements, so it has no singular values. */
export class NonFiniteMatrix extends Error {
  override readonly name = 'NonFiniteMatrix';

  constructor() {
    super('the matrix holds NaN or infinite elements');
  }
}
