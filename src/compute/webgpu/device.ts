/** A graphics card through WebGPU: Dawn's exact integers for Gram matrices, TensorFlow.js for everything in float32. */
import type { Device, DeviceFacts, OpenDevice } from '../device/device';
import { firstLine } from '../device/firstLine';
import { tfDescent } from '../device/tfDescent';
import { adapterName, graphicsInterface, isSoftwareAdapter, openAdapter } from './dawn';
import { GpuWork } from './gpuWork';
import { SlicedGram } from './slicedGram';
import type * as TensorsModule from './tensors';

/** Version of these kernels' arithmetic: raised whenever a result may change by a bit. */
const KERNEL_VERSION = 1;

/** Limits that are raised to what the adapter has; by default WebGPU promises little more than a telephone. */
const RAISED = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupsPerDimension',
  'maxStorageBuffersPerShaderStage',
] as const satisfies readonly (keyof GPUSupportedLimits)[];

export const openWebgpu: OpenDevice = async (settings) => {
  const adapter = await openAdapter(settings);
  return webgpuDevice(await requestDevice(adapter), adapter.info);
};

/** A device with all that its adapter allows. */
export async function requestDevice(adapter: GPUAdapter): Promise<GPUDevice> {
  const requiredLimits = Object.fromEntries(RAISED.map((name) => [name, adapter.limits[name]]));
  try {
    return await adapter.requestDevice({ requiredLimits });
  } catch (error) {
    throw new Error(`WebGPU cannot open ${adapterName(adapter.info)}: ${firstLine(error)}`, { cause: error });
  }
}

/** What is offered on an open device. */
export function webgpuDevice(gpu: GPUDevice, info: GPUAdapterInfo): Device {
  const work = new GpuWork(gpu);
  const facts = factsOf(info);
  const gram = new SlicedGram(work, facts.isSoftware);
  const tensors = new TensorWork(gpu, info, work);
  return {
    facts,
    takesFloat64: false,
    spectrum: (matrix, signal) => gram.spectrum(matrix, signal),
    product32: (A, B, signal) => tensors.run(({ matrixProduct }) => matrixProduct(A, B), signal),
    descend: (descent, signal, onFraction) =>
      tensors.run(({ tf }) => tfDescent(tf, descent, signal, onFraction), signal),
    dispose: () => {
      gpu.destroy();
      return Promise.resolve();
    },
  };
}

type Library = TensorsModule.Tensors & Pick<typeof TensorsModule, 'matrixProduct'>;

/** Work for TensorFlow.js, which is loaded for the first of it: it is large, and audits do without it. */
class TensorWork {
  private library: Promise<Library> | undefined;
  private running = 0;

  constructor(
    private readonly gpu: GPUDevice,
    private readonly info: GPUAdapterInfo,
    private readonly work: GpuWork,
  ) {}

  async run<T>(compute: (library: Library) => Promise<T>, signal: AbortSignal): Promise<T> {
    this.library ??= this.load();
    const library = await this.work.wait(this.library, signal);
    this.work.check(signal);
    return this.work.wait(this.counted(library, compute), signal);
  }

  private async load(): Promise<Library> {
    const { tensorsOn, matrixProduct } = await import('./tensors');
    return { ...(await tensorsOn(this.gpu, this.info)), matrixProduct };
  }

  /** An abandoned computation counts until it really ends. */
  private async counted<T>(library: Library, compute: (library: Library) => Promise<T>): Promise<T> {
    this.running++;
    try {
      return await compute(library);
    } finally {
      this.running--;
      if (this.running === 0) library.release();
    }
  }
}

function factsOf(info: GPUAdapterInfo): DeviceFacts {
  const adapter = adapterName(info);
  const runtime = `Dawn, ${graphicsInterface()}`;
  return {
    kind: 'webgpu',
    adapter,
    runtime,
    isSoftware: isSoftwareAdapter(info),
    build: `webgpu ${KERNEL_VERSION} (${runtime}, ${adapter})`,
  };
}
