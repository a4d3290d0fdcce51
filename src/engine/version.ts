/** Put in place by the build, from package.json. */
declare const RANKSCOPE_VERSION: string;

export const TOOL = { name: 'rankscope', version: RANKSCOPE_VERSION } as const;
