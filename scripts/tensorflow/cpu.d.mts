/** Folder of the built package; undefined where it has not been built. */
export function builtTensorflowCpu(): string | undefined;

/** Builds TensorFlow.js on a real TensorFlow for the processor unless it is there (190 MB), and returns its folder. */
export function tensorflowCpu(say?: (line: string) => void): Promise<string>;
