/** How a run ended. */
export interface RunEnd {
  readonly kind: 'done' | 'stopped' | 'failed' | 'diverged';
  /** One line. */
  readonly message?: string;
  readonly exitCode?: number;
}
