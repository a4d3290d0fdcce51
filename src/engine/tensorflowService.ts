import { installTensorflow, tensorflowRequirements, whyUnsupported } from '../compute';
import { forgetDevices } from './backends';
import type { EngineEnd } from './connection';
import type { InstallTensorflowParams } from './tensorflowProtocol';

type Log = (level: 'info' | 'warn', message: string) => void;

/** Installs TensorFlow where a person asked for it. */
export class TensorflowService {
  constructor(
    private readonly host: EngineEnd,
    private readonly log: Log,
  ) {
    const { platform, arch } = process;
    host.serve('tensorflowRequirements', () =>
      Promise.resolve({
        supported: whyUnsupported('gpu', platform, arch) === undefined,
        lines: tensorflowRequirements(platform),
      }),
    );
    host.serve('installTensorflow', (params, signal) => this.install(params, signal));
  }

  private async install(
    { job, folder }: InstallTensorflowParams,
    signal: AbortSignal,
  ): Promise<{ readonly folder: string }> {
    this.log('info', `TensorFlow is installed into ${folder}`);
    const installed = await installTensorflow({
      ...{ folder, signal },
      variant: 'gpu',
      onLine: (line) => {
        this.log('info', `npm: ${line}`);
      },
      onProgress: (stage) => {
        this.host.notify('installStage', { job, stage });
      },
    });
    await forgetDevices();
    return { folder: installed.folder };
  }
}
