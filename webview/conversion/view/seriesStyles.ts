import type { Theme } from '../../theme';
import type { CurveStyle } from '../../view/spectrumChart';

/** The same colours in every plot: sine in front, truncated SVD beside it, the original behind; told apart by pattern too. */
export function seriesStyles(theme: Theme): Readonly<Record<'sine' | 'lowRank' | 'original', CurveStyle>> {
  return {
    sine: { colour: theme.rank, dash: [] },
    lowRank: { colour: theme.edge, dash: [6, 3] },
    original: { colour: theme.description, dash: [2, 2] },
  };
}
