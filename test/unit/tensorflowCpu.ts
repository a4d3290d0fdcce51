/** The real TensorFlow that tests run on: built where it is required, else used where it has been built. */
import { builtTensorflowCpu, tensorflowCpu } from '../../scripts/tensorflow/cpu.mjs';

const isRequired = process.env.RANKSCOPE_REQUIRE_GPU === '1';

/** Why tests with TensorFlow are skipped here; false where they are not. */
export const WITHOUT_TENSORFLOW: string | false =
  isRequired || builtTensorflowCpu() !== undefined
    ? false
    : 'TensorFlow has not been built: run "node scripts/tensorflow/cpu.mjs" (190 MB)';

/** Folder of the package; builds it where it is required and missing. */
export function tensorflowFolder(): Promise<string> {
  return tensorflowCpu();
}
