import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import v8 from 'node:v8';

/** Version of the kernels' arithmetic: part of every cache key, raised whenever a result may change by a bit. */
export const KERNEL_VERSION = 2;

/** The two builds of the same source: fused multiply-add where the engine has relaxed SIMD, plain SIMD elsewhere. */
export type KernelBuild = 'relaxed-simd' | 'simd';

const FILES: Readonly<Record<KernelBuild, string>> = {
  'relaxed-simd': 'kernels-relaxed.wasm',
  simd: 'kernels-simd.wasm',
};

/**
 * Functions of the kernel module. All arguments called like matrices are byte addresses into the imported memory;
 * the AssemblyScript sources beside this file say what each does.
 */
export interface KernelExports {
  decodeFloat16(n: number, from: number, to: number): void;
  decodeBfloat16(n: number, from: number, to: number): void;
  decodeFloat8E4M3(n: number, from: number, to: number): void;
  decodeFloat8E5M2(n: number, from: number, to: number): void;
  largestMagnitude64(n: number, x: number): number;
  packRows32(A: number, ld: number, rows: number, depth: number, P: number): void;
  packColumns32(A: number, ld: number, columns: number, depth: number, P: number): void;
  packRows64(A: number, ld: number, rows: number, depth: number, factor: number, P: number): void;
  packColumns64(A: number, ld: number, columns: number, depth: number, factor: number, P: number): void;
  addOuterProduct(size: number, depth: number, Pa: number, Pb: number, C: number, ld: number): void;
  addProduct(
    rows: number,
    columns: number,
    depth: number,
    Pa: number,
    Pb: number,
    C: number,
    ld: number,
  ): void;
  tridiagonalWorkspace(ld: number): number;
  tridiagonalizePanel(
    A: number,
    n: number,
    ld: number,
    k: number,
    d: number,
    e: number,
    tau: number,
    work: number,
  ): number;
  tridiagonalEigenvalues(n: number, d: number, e: number): number;
  widenRows32(A: number, ld: number, rows: number, columns: number, S: number): void;
  widenColumns32(A: number, ld: number, rows: number, columns: number, S: number): void;
  widenRows64(A: number, ld: number, rows: number, columns: number, factor: number, S: number): void;
  widenColumns64(A: number, ld: number, rows: number, columns: number, factor: number, S: number): void;
  foldRows(n: number, R: number, ld: number, rows: number, S: number, ldS: number, w: number): void;
  bidiagonalize(
    n: number,
    R: number,
    ld: number,
    from: number,
    to: number,
    d: number,
    f: number,
    work: number,
  ): void;
  leafEigen(n: number, d: number, e: number, Q: number, ld: number): number;
  mergeEigen(
    n1: number,
    n: number,
    rho: number,
    d: number,
    Q: number,
    ld: number,
    order: number,
    work: number,
  ): number;
  mergeWorkspace(n: number, ld: number): number;
  reflectBack(
    A: number,
    n: number,
    ld: number,
    from: number,
    tau: number,
    Q: number,
    rows: number,
    ldQ: number,
    work: number,
  ): number;
  reflectBackWorkspace(rows: number, ld: number): number;
  packTransposed32(V: number, columns: number, ld: number, k: number, P: number): void;
  sineGradient(
    rows: number,
    columns: number,
    k: number,
    ld: number,
    W: number,
    ldW: number,
    amplitude: number,
    U: number,
    V: number,
    packed: number,
    gU: number,
    gV: number,
    sums: number,
    tile: number,
  ): void;
  weightedSineGradient(
    rows: number,
    columns: number,
    k: number,
    ld: number,
    W: number,
    ldW: number,
    amplitude: number,
    U: number,
    V: number,
    packed: number,
    gU: number,
    gV: number,
    sums: number,
    block: number,
    G: number,
  ): void;
  adamStep(
    n: number,
    x: number,
    g: number,
    m: number,
    v: number,
    beta1: number,
    beta2: number,
    rate: number,
  ): void;
  addNoise(rows: number, k: number, ld: number, x: number, sigma: number, state: number): void;
}

/**
 * A relaxed-SIMD instruction in the smallest module that holds one: (func (result v128) of f64x2.relaxed_madd on
 * zeros). Engines without the proposal refuse it.
 */
const RELAXED_PROBE = Uint8Array.from([
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b, 0x03, 0x02, 0x01,
  0x00, 0x0a, 0x13, 0x01, 0x11, 0x00, 0x41, 0x00, 0xfd, 0x0f, 0x41, 0x00, 0xfd, 0x0f, 0x41, 0x00, 0xfd, 0x0f,
  0xfd, 0x87, 0x02, 0x0b,
]);

/** The faster build that this engine can run. RANKSCOPE_KERNELS=simd forces the plain one, for tests and bug reports. */
export function chooseBuild(): KernelBuild {
  if (process.env.RANKSCOPE_KERNELS === 'simd') return 'simd';
  // Node 20 has relaxed SIMD behind a flag that can be set until the first use; later versions have it on.
  v8.setFlagsFromString('--experimental-wasm-relaxed-simd');
  return WebAssembly.validate(RELAXED_PROBE) ? 'relaxed-simd' : 'simd';
}

/** A file that the build puts beside the bundles. Tests are bundled two folders further down. */
export function bundledFile(name: string): string {
  const candidates = [__dirname, path.join(__dirname, '..', '..')].map((folder) => path.join(folder, name));
  const found = candidates.find((candidate) => existsSync(candidate));
  if (found === undefined) throw new Error(`${name} is missing from the installation: run "npm run build"`);
  return found;
}

/** Compiles a build of the kernels; the module can be shared with worker threads. */
export function compileKernels(build: KernelBuild): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(bundledFile(FILES[build])));
}

const PAGE = 65_536;

/** Addresses below this are left alone, so that no array begins at address 0. */
const FIRST_ADDRESS = 1024;

/** WebAssembly's own limit for 32-bit memories: 65,536 pages. */
export const MAX_MEMORY_BYTES = PAGE * 65_536;

/** One instance of the kernels with its own memory, laid out afresh for every matrix. */
export class KernelInstance {
  readonly kernels: KernelExports;
  private readonly memory = new WebAssembly.Memory({ initial: 16, maximum: 65_536 });
  private top = FIRST_ADDRESS;

  constructor(module: WebAssembly.Module) {
    const instance = new WebAssembly.Instance(module, {
      env: {
        memory: this.memory,
        abort: () => {
          throw new Error('a kernel stopped');
        },
      },
    });
    // The interface above is the contract with the AssemblyScript sources; both are built together.
    this.kernels = instance.exports as unknown as KernelExports;
  }

  /** Forgets every allocation. */
  reset(): void {
    this.top = FIRST_ADDRESS;
  }

  /**
   * Address of `bytes` of fresh memory, contents undefined.
   * @throws {RangeError} when the memory would pass 4 GiB or the system has no more.
   */
  allocate(bytes: number): number {
    const address = this.top;
    // 64 bytes: a cache line, so that no vector load straddles two.
    this.top = Math.ceil((address + bytes) / 64) * 64;
    const missing = Math.ceil(this.top / PAGE) - this.memory.buffer.byteLength / PAGE;
    if (missing > 0) this.memory.grow(missing);
    return address;
  }

  /** Runs `work` and then forgets what it allocated. */
  scoped<T>(work: () => T): T {
    const mark = this.top;
    try {
      return work();
    } finally {
      this.top = mark;
    }
  }

  /** View of n float64 at an address; invalid after the next `allocate`. */
  float64(address: number, n: number): Float64Array {
    return new Float64Array(this.memory.buffer, address, n);
  }

  /** View of n float32 at an address; invalid after the next `allocate`. */
  float32(address: number, n: number): Float32Array {
    return new Float32Array(this.memory.buffer, address, n);
  }

  /** View of n int32 at an address; invalid after the next `allocate`. */
  int32(address: number, n: number): Int32Array {
    return new Int32Array(this.memory.buffer, address, n);
  }

  /** View of bytes at an address; invalid after the next `allocate`. */
  uint8(address: number, n: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, address, n);
  }
}
