/** Between a process that computes and the one that holds a device for it. Types only. */
import type { SpectrumRequest } from '../backend';
import type {
  DeviceDescent,
  DeviceDescentEnd,
  DeviceFacts,
  DeviceKind,
  DeviceMatrix,
  DeviceSettings,
  DeviceSpectrum,
} from './device';

/** What the process is started for. */
export interface DeviceStart {
  readonly device: DeviceKind;
  readonly settings: DeviceSettings;
}

/** What it can be asked for, and what each answer holds. */
export interface DeviceCalls {
  /** Of the matrices of a tensor, which it reads itself; one answer each. */
  readonly spectra: { readonly argument: SpectrumRequest; readonly result: readonly DeviceSpectrum[] };
  readonly spectrum: { readonly argument: DeviceMatrix; readonly result: DeviceSpectrum };
  readonly product32: {
    readonly argument: { readonly A: DeviceMatrix; readonly B: DeviceMatrix };
    readonly result: Float32Array;
  };
  readonly descend: { readonly argument: DeviceDescent; readonly result: DeviceDescentEnd };
}

export type DeviceCall = keyof DeviceCalls;

export type ToDevice =
  | { readonly kind: 'start'; readonly start: DeviceStart }
  | {
      readonly [K in DeviceCall]: {
        readonly kind: 'call';
        readonly id: number;
        readonly call: K;
        readonly argument: DeviceCalls[K]['argument'];
      };
    }[DeviceCall]
  | { readonly kind: 'cancel'; readonly id: number };

export type FromDevice =
  | { readonly kind: 'open'; readonly facts: DeviceFacts; readonly takesFloat64: boolean }
  /** It cannot be opened: one line. */
  | { readonly kind: 'closed'; readonly message: string }
  | { readonly kind: 'fraction'; readonly id: number; readonly fraction: number }
  | { readonly kind: 'result'; readonly id: number; readonly result: DeviceCalls[DeviceCall]['result'] }
  | { readonly kind: 'failure'; readonly id: number; readonly message: string };
