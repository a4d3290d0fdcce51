export {
  type OnnxAttribute,
  type OnnxDimension,
  type OnnxGraph,
  type OnnxModel,
  type OnnxNode,
  type OnnxValue,
  readOnnxModel,
} from './model';
export { type OnnxTensor, onnxDType } from './tensor';
export type { ByteSpan } from '../protobuf/wire';
