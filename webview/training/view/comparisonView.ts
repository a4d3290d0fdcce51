/** What came of it: a bar a variant, at equal rank, with parameters and compression rate. */
import { count, counted, percent } from '../../model/numbers';
import type { Theme } from '../../theme';
import { element } from '../../view/element';
import { Segmented } from '../../view/segmented';
import type { Comparison, ComparisonGroup, ComparisonRow, Statistic } from '../model/comparison';
import { metricText, metricTitle, parametersText } from '../model/words';
import { lineColour } from './runsChart';

export class ComparisonView {
  readonly element: HTMLElement;
  private readonly statistic: Segmented<Statistic>;
  private readonly heading = element('h2', { text: 'Comparison' });
  private readonly body = element('div', { class: 'comparison-body', attributes: { tabindex: '0' } });

  constructor(onChange: (statistic: Statistic) => void) {
    this.statistic = new Segmented<Statistic>(
      'Which evaluation counts',
      [
        { value: 'best', text: 'Best', title: 'The best evaluation of each run' },
        { value: 'last', text: 'Last', title: 'The last evaluation of each run' },
      ],
      onChange,
    );
    const tools = element('div', { class: 'plot-tools' }, this.statistic.element);
    this.body.setAttribute('role', 'region');
    this.body.setAttribute('aria-label', 'Variants compared');
    this.element = element(
      'section',
      { class: 'plot comparison', attributes: { 'aria-label': 'Comparison' } },
      element('div', { class: 'plot-head' }, this.heading, tools),
      this.body,
    );
  }

  render(comparison: Comparison, statistic: Statistic, theme: Theme): void {
    this.statistic.set(statistic);
    const signature = JSON.stringify([comparison, theme.series]);
    if (this.body.dataset.shown === signature) return;
    this.body.dataset.shown = signature;
    const { metric, higherIsBetter, groups } = comparison;
    const compares = groups.some(({ rows }) => rows.length > 1);
    const title =
      metric === undefined ? 'Comparison' : `${metricTitle(metric)}${compares ? ' at equal rank' : ''}`;
    this.heading.textContent = higherIsBetter ? title : `${title} (lower is better)`;
    const several = groups.length > 1;
    this.body.replaceChildren(
      element(
        'table',
        { class: 'comparison-table', attributes: { 'aria-label': title } },
        element('thead', {}, headRow(metric)),
        ...groups.map((group) => groupBody(group, several, metric, theme)),
      ),
    );
  }
}

function groupBody(
  { rank, rows, verdict }: ComparisonGroup,
  several: boolean,
  metric: string | undefined,
  theme: Theme,
): HTMLElement {
  const title = rank === undefined ? 'Full rank' : `k = ${count(rank)}`;
  const wide = { colspan: '4' };
  return element(
    'tbody',
    {},
    ...(several
      ? [
          element(
            'tr',
            {},
            element('th', { class: 'group', text: title, attributes: { ...wide, scope: 'rowgroup' } }),
          ),
        ]
      : []),
    ...rows.map((row) => tableRow(row, metric, theme)),
    ...(verdict === undefined
      ? []
      : [element('tr', {}, element('td', { class: 'verdict', text: verdict, attributes: wide }))]),
  );
}

function headRow(metric: string | undefined): HTMLElement {
  const head = (text: string, title: string): HTMLElement =>
    element('th', { text, title, attributes: { scope: 'col' } });
  return element(
    'tr',
    {},
    head('Form', 'What the layers are kept as'),
    head(metricTitle(metric), 'Mean over the seeds, least and largest beside it'),
    head('Parameters', 'Of the whole network in this form'),
    head('Rate', 'Compression rate: parameters ÷ those of the same network dense'),
  );
}

function tableRow(row: ComparisonRow, metric: string | undefined, theme: Theme): HTMLElement {
  const { label, mean, least, largest, seeds, parameters, trained, rate } = row;
  const bar = element('span', { class: 'bar' });
  bar.style.transform = `scaleX(${row.share})`;
  bar.style.background = lineColour(theme, row.style);
  const range =
    mean === undefined || seeds < 2 || least === undefined || largest === undefined
      ? ''
      : `${metricText(metric, least)} … ${metricText(metric, largest)}`;
  const name = element(
    'th',
    { attributes: { scope: 'row' } },
    element('bdi', { text: label.replaceAll(' = ', '\u00a0=\u00a0') }),
  );
  if (seeds > 1) name.append(element('span', { class: 'comparison-range', text: counted(seeds, 'seed') }));
  const value = element(
    'td',
    { class: 'comparison-value' },
    element('span', { class: 'bar-track', attributes: { 'aria-hidden': 'true' } }, bar),
    element('span', {
      class: 'comparison-number',
      text: mean === undefined ? '·' : metricText(metric, mean),
    }),
    ...(range === '' ? [] : [element('span', { class: 'comparison-range', text: range })]),
  );
  const cost = element('td', { text: parameters === undefined ? '·' : parametersText(parameters) });
  if (trained !== undefined && trained !== parameters)
    cost.title = `${parametersText(trained)} of them trained`;
  return element(
    'tr',
    {},
    name,
    value,
    cost,
    element('td', { text: rate === undefined ? '·' : percent(rate) }),
  );
}
