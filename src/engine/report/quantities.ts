/** Numbers as people read them. */

/** 272,474 */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** 15.6 %, 100 %; from a fraction. */
export function percent(fraction: number): string {
  return `${trimmed(fraction * 100, 1)} %`;
}

/** A change from one quantity to another: −17 %. */
export function change(before: number, after: number, unicode: boolean): string {
  const share = before === 0 ? 0 : (after - before) / before;
  const sign = share < 0 ? (unicode ? '−' : '-') : '+';
  // Two digits that count: a saving of 0.05 % is not 0 %.
  const points = Math.abs(share) * 100;
  return `${sign}${points >= 10 ? points.toFixed(0) : Number(points.toPrecision(2))} %`;
}

/** At most `digits` decimals, none that are zero. */
export function trimmed(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)));
}

/** Three digits or so: 1234, 12.3, 0.0123. */
export function short(value: number): string {
  if (value === 0) return '0';
  if (Math.abs(value) >= 100) return value.toFixed(0);
  return String(Number(value.toPrecision(3)));
}

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** Decimal units: 1.1 MB. */
export function bytes(value: number): string {
  let unit = 0;
  let scaled = value;
  while (scaled >= 1000 && unit < BYTE_UNITS.length - 1) {
    scaled /= 1000;
    unit++;
  }
  return `${trimmed(scaled, unit === 0 || scaled >= 100 ? 0 : 1)} ${BYTE_UNITS[unit] ?? 'B'}`;
}

/** 0:07, 12:05, 1:00:00. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const padded = (value: number) => String(value).padStart(2, '0');
  return hours > 0 ? `${hours}:${padded(minutes)}:${padded(whole % 60)}` : `${minutes}:${padded(whole % 60)}`;
}
