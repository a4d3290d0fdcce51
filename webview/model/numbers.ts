/** Numbers as people read them; a no-break space before every unit. */

const NBSP = '\u00a0';

/** Made once: making a formatter costs more than a thousand uses of it. */
const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** 272,474 */
export function count(value: number): string {
  return whole.format(Math.round(value));
}

const short = new Intl.NumberFormat('en-US', { notation: 'compact', maximumSignificantDigits: 4 });

/** 272,474 as 272.5K, 12,340,000 as 12.34M: where the size matters and the digits do not. */
export function compact(value: number): string {
  return short.format(value);
}

/** `1 layer`, `20 layers` */
export function counted(value: number, noun: string): string {
  return `${count(value)}${NBSP}${noun}${value === 1 ? '' : 's'}`;
}

/** 95.8 %, from a fraction. Only a whole is 100 % and only nothing is 0 %, whatever rounding would make of it. */
export function percent(fraction: number): string {
  const rounded = Math.round(fraction * 1000) / 10;
  if (fraction < 1 && rounded >= 100) return `99.9${NBSP}%`;
  if (fraction > 0 && rounded <= 0) return `<${NBSP}0.1${NBSP}%`;
  return `${rounded}${NBSP}%`;
}

/** Ranks are whole, but means over the groups of a convolution may not be: 62 or 62.4. */
export function rank(value: number): string {
  return Number.isInteger(value) ? count(value) : value.toFixed(1);
}

/** Three digits that count: 1234, 12.3, 0.0123, 1.2e-7. */
export function significant(value: number): string {
  const magnitude = Math.abs(value);
  if (value === 0) return '0';
  if (magnitude >= 1e6 || magnitude < 1e-4) return value.toExponential(1);
  if (magnitude >= 100) return count(value);
  return String(Number(value.toPrecision(3)));
}

/** One decimal, always: numbers of a column line up. */
export function oneDecimal(value: number): string {
  return value.toFixed(1);
}

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** Decimal units: 1.1 MB. */
export function bytes(value: number): string {
  let unit = 0;
  let scaled = value;
  while (scaled >= 999.5 && unit < BYTE_UNITS.length - 1) {
    scaled /= 1000;
    unit++;
  }
  const digits = unit === 0 || scaled >= 100 ? 0 : 1;
  return `${Number(scaled.toFixed(digits))}${NBSP}${BYTE_UNITS[unit] ?? 'B'}`;
}

/** How long something took: 0.41 s, 12.3 s, 4 min 05 s. */
export function seconds(value: number): string {
  if (value < 1) return `${Number(value.toFixed(2))}${NBSP}s`;
  if (value < 60) return `${Number(value.toFixed(1))}${NBSP}s`;
  return minutes(Math.round(value));
}

/** How long something will take, no finer than an estimate deserves: 8 s, 1 min 20 s, 2 h 05 min. */
export function remaining(value: number): string {
  const rough = Math.max(1, Math.ceil(value));
  if (rough < 60) return `${rough}${NBSP}s`;
  if (rough < 600) return minutes(Math.ceil(rough / 5) * 5);
  if (rough < 3600) return `${Math.ceil(rough / 60)}${NBSP}min`;
  const rounded = Math.ceil(rough / 300) * 300;
  const rest = String((rounded % 3600) / 60).padStart(2, '0');
  return `${Math.floor(rounded / 3600)}${NBSP}h${NBSP}${rest}${NBSP}min`;
}

function minutes(total: number): string {
  const rest = String(total % 60).padStart(2, '0');
  return `${Math.floor(total / 60)}${NBSP}min${NBSP}${rest}${NBSP}s`;
}
