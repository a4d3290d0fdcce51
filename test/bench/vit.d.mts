/** Path of a ViT-B-shaped float32 safetensors file (86 million parameters), made on the first call. */
export function vitCheckpoint(): string;
