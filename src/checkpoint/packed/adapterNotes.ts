/** What a person should know of the adapters of a checkpoint. */
import type { Tensor } from '../checkpoint';
import { printable } from '../errors';
import { countOf, inARow } from '../wording';
import { isMagnitude, otherMethod } from './adapterNames';

/** Beginnings of matrices that are parts of the base model's own weights, so that B·A is no change of those. */
const PARTS_OF_WEIGHTS = /^(?:pissa|olora|corda|loftq|eva|lora_ga)/;

export class AdapterNotes {
  /** The settings say that there are magnitudes beside the matrices. */
  hasMagnitudes: boolean;
  private readonly others: ReadonlyMap<string, number>;
  private readonly said: string[] = [];
  /** By reason: how many, and the name of the first. */
  private readonly refused = new Map<string, { count: number; readonly first: string }>();
  private readonly odd = new Map<string, number>();
  private readonly ranks = new Set<number>();
  private readonly scales = new Set<number>();
  private unknown = 0;
  private linear = 0;
  private sines = 0;
  private initialisation: string | undefined;

  constructor(tensors: readonly Tensor[]) {
    const others = new Map<string, number>();
    let hasMagnitudes = false;
    for (const { name, role } of tensors) {
      if (role !== 'model') continue;
      if (isMagnitude(name)) hasMagnitudes = true;
      const method = otherMethod(name);
      if (method !== undefined) others.set(method, (others.get(method) ?? 0) + 1);
    }
    this.others = others;
    this.hasMagnitudes = hasMagnitudes;
  }

  add(note: string): void {
    this.said.push(note);
  }

  /** Something is called like an adapter and makes none. */
  refuse(name: string, reason: string): void {
    const known = this.refused.get(reason);
    if (known === undefined) this.refused.set(reason, { count: 1, first: name });
    else known.count++;
  }

  /** An adapter's scale is not known. @param odd what is wrong with what says it */
  unscaled(odd: string | undefined): void {
    if (odd === undefined) this.unknown++;
    else this.odd.set(odd, (this.odd.get(odd) ?? 0) + 1);
  }

  /** How the matrices began. */
  begin(initialisation: string): void {
    if (PARTS_OF_WEIGHTS.test(initialisation.toLowerCase())) this.initialisation = initialisation;
  }

  /** An adapter is listed. */
  take(rank: number, scale: number, isLinear: boolean): void {
    this.ranks.add(rank);
    this.scales.add(scale);
    if (isLinear) this.linear++;
    else this.sines++;
  }

  all(): string[] {
    const notes = [...this.ofAdapters(), ...this.said];
    for (const [reason, { count, first }] of this.refused)
      notes.push(
        `${countOf(count, 'adapter is', 'adapters are')} listed as ${count === 1 ? 'it is' : 'they are'}, not multiplied out (${printable(first)}${count > 1 ? ' …' : ''}): ${reason}`,
      );
    for (const [method, count] of this.others)
      notes.push(
        `${countOf(count, 'tensor is', 'tensors are')} of ${method}, which is no product of two matrices: listed as in the file`,
      );
    return notes;
  }

  private ofAdapters(): string[] {
    const { linear, sines } = this;
    if (linear + sines === 0) return [];
    const notes: string[] = [];
    if (linear > 0)
      notes.push(
        `${countOf(linear, 'low-rank adapter')} (LoRA) of ${span(this.ranks, 'rank')}, given as the change s·B·A of ${linear === 1 ? 'its weight' : 'their weights'}, ${span(this.scales, 's')}`,
      );
    if (sines > 0)
      notes.push(
        `${countOf(sines, 'adapter')} in sine form, given as the change s·sin(ω·B·A)/g of the weight, which can be merged; another method of this name takes the sine of activations`,
      );
    if (this.unknown > 0)
      notes.push(
        `no α of ${countOf(this.unknown, 'adapter')}: spectra are of B·A, unscaled; ranks do not depend on it`,
      );
    for (const [odd, count] of this.odd)
      notes.push(`${odd} for ${countOf(count, 'adapter')}: spectra are of B·A, unscaled`);
    if (this.hasMagnitudes)
      notes.push(
        'with magnitudes (DoRA), which scale every row of the changed weight: B·A is the change of direction before them',
      );
    if (this.initialisation !== undefined)
      notes.push(
        `begun by ${printable(this.initialisation)}: unless it was converted, B·A holds parts of the base model's weights and is not their change`,
      );
    return notes;
  }
}

/** `rank 8`, `ranks 4 to 64`. */
function span(values: ReadonlySet<number>, what: string): string {
  const sorted = [...values].sort((a, b) => a - b);
  const ends = [...new Set([sorted[0] ?? 0, sorted.at(-1) ?? 0])].map((value) =>
    String(Number(value.toPrecision(6))),
  );
  const joiner = what === 's' ? ' = ' : ' ';
  return `${what}${ends.length > 1 && what !== 's' ? 's' : ''}${joiner}${ends.length > 2 ? inARow(ends) : ends.join(' to ')}`;
}
