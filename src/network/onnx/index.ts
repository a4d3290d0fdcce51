/**
 * Networks in ONNX files, run by ONNX Runtime: `open` and `onnxNetwork` put together what the others do. `graph`, `slice` and
 * `protobuf` cut parts out of a model; `layers`, `weight` and `names` find what is measured; `observation`, `inputGrams`
 * and `evaluation` run it; `runtime` is the native or the embedded build.
 */
export { type OnnxNetworkRequest, openOnnxNetwork } from './open';
export { type NetworkInput, readOnnxInput } from './networkInput';
