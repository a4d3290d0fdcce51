/** The built-in networks as recipes name them, and the forms that their layers can take. Types only. */
import type { MlpActivation } from '../recipe';

/** How the weight W (m × n) of a linear or convolution layer is kept and trained. */
export type LayerForm =
  | { readonly kind: 'dense' }
  /** W = U·Vᵀ. */
  | { readonly kind: 'low-rank'; readonly rank: number }
  /** W = sin(ω·U·Vᵀ)/g; ω and g are not trained (Ji et al., eq. 3). */
  | { readonly kind: 'sine'; readonly rank: number; readonly omega?: number; readonly gain?: number }
  /** W = W₀ + (α/k)·B·A with W₀ frozen (Hu et al., "LoRA", 2021, eq. 3). */
  | { readonly kind: 'lora'; readonly rank: number; readonly alpha?: number }
  /** W = W₀ + (α/k)·sin(ω·B·A)/g with W₀ frozen: the sine is on the weight, so it can be merged. */
  | {
      readonly kind: 'sine-lora';
      readonly rank: number;
      readonly alpha?: number;
      readonly omega?: number;
      readonly gain?: number;
    };

export type LayerFormKind = LayerForm['kind'];

/** A form, and the layers that take it. Of several that match, the last holds. */
export type FormRecipe = LayerForm & {
  /** Regular expression on the names of weights; absent: the layers that the network's paper factors (see each network). */
  readonly layers?: string;
};

export interface PerceptronRecipe {
  readonly kind: 'perceptron';
  /** Inputs, hidden widths, outputs: [784, 256, 256, 10]. Inner layers (not the last) take forms. */
  readonly widths: readonly number[];
  readonly activation?: MlpActivation;
}

/** A field over coordinates (Ji et al., §4.4): 3 → width → … → width → 1. The layers between two widths take forms. */
export interface CoordinatesRecipe {
  readonly kind: 'coordinates';
  /** Default 3. */
  readonly inputs?: number;
  /** Default 1. */
  readonly outputs?: number;
  /** Default 256. */
  readonly width?: number;
  /** Layers from width to width; default 2. */
  readonly hidden?: number;
  /** exp(−x²/(2·a²)), the default; ReLU; or sin(x/a). */
  readonly activation?: 'gaussian' | 'relu' | 'sine';
  /** a; default 0.1. */
  readonly scale?: number;
  /** Octaves of a Fourier encoding of the coordinates before the first layer; default 0: none. */
  readonly frequencies?: number;
}

/** Mildenhall et al., "NeRF", 2020, fig. 7, without its second (fine) network. */
export interface NerfRecipe {
  readonly kind: 'nerf';
  /** Default 256. */
  readonly width?: number;
  /** Layers before density; default 8. */
  readonly hidden?: number;
  /** Default 10. */
  readonly positionFrequencies?: number;
  /** Default 4. */
  readonly directionFrequencies?: number;
}

export interface VggRecipe {
  readonly kind: 'vgg';
  readonly depth: 11 | 13 | 16 | 19;
  /** Default 10. */
  readonly classes?: number;
  /** Multiplies all widths; default 1. */
  readonly widthFactor?: number;
}

export interface ResnetRecipe {
  readonly kind: 'resnet';
  /** 18 and 50 as for ImageNet with a stem for 32 × 32; 20, 32, 44, 56, 110 as He et al. have them for CIFAR-10. */
  readonly depth: 18 | 20 | 32 | 44 | 50 | 56 | 110;
  /** Default 10. */
  readonly classes?: number;
  readonly widthFactor?: number;
}

export interface VitRecipe {
  readonly kind: 'vit';
  /** Width, blocks and heads: tiny 192, 12, 3; small 384, 12, 6; base 768, 12, 12. */
  readonly size?: 'tiny' | 'small' | 'base';
  /** These go before the size's own. */
  readonly width?: number;
  readonly blocks?: number;
  readonly heads?: number;
  /** Width of the feed-forward layers; default 4 × width. */
  readonly mlpWidth?: number;
  /** Side of a patch in pixels; default 4. */
  readonly patch?: number;
  /** Side of the image; default 32. */
  readonly image?: number;
  /** Default 3. */
  readonly channels?: number;
  /** Default 10. */
  readonly classes?: number;
  /** 0 … 1; default 0. */
  readonly dropout?: number;
}

/** GPT-2's layout, small. */
export interface GptRecipe {
  readonly kind: 'gpt';
  /** Default 128. */
  readonly width?: number;
  /** Default 4. */
  readonly blocks?: number;
  /** Default 4. */
  readonly heads?: number;
  /** Tokens seen at once; default 64. */
  readonly context?: number;
  /** Default: the text's own characters. */
  readonly vocabulary?: number;
  readonly dropout?: number;
}

/** RoBERTa's layout (Liu et al., 2019): bidirectional, for masked tokens (`head: "tokens"`) or classes. */
export interface EncoderRecipe {
  readonly kind: 'encoder';
  readonly width?: number;
  readonly blocks?: number;
  readonly heads?: number;
  readonly context?: number;
  readonly vocabulary?: number;
  readonly head?: 'tokens' | 'classes';
  /** Default 2. */
  readonly classes?: number;
  readonly dropout?: number;
}

/** A network that is built here. */
export type BuiltinNetworkRecipe = (
  | PerceptronRecipe
  | CoordinatesRecipe
  | NerfRecipe
  | VggRecipe
  | ResnetRecipe
  | VitRecipe
  | GptRecipe
  | EncoderRecipe
) & {
  /** Weights to start from: a checkpoint, a decomposition, factors or a run's own; absolute once the recipe is read. */
  readonly checkpoint?: string;
  /** Absent: as the checkpoint keeps them, or dense. */
  readonly forms?: readonly FormRecipe[];
};

export type BuiltinKind = BuiltinNetworkRecipe['kind'];
