/** What `scripts/fuzz.mjs` uses. */
export { makeCase } from './fuzzCase';
export { DEFAULT_LIMITS, fuzzReader } from './pool';
export { allReaders, readerOf } from './readers/all';
