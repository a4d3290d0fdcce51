/** What PyTorch writes, and pickles by themselves. */
import { bytes, float32, pickle, torchTensor, torchZip, uint32, uint64 } from '../../fixtures/handmade';
import { repairedTar, setTarField } from '../mutators/other';
import { PICKLE } from '../mutators/pickle';
import { ZIP, insideZip } from '../mutators/zip';
import { oneFile } from '../reader';
import type { ReaderEntry } from './all';
import { fixtures, sharedFiles } from './seeds';

const insidePickles = insideZip((name) => (name.endsWith('.pkl') ? PICKLE : []));

function oldTar(): Buffer {
  const storages = bytes(
    pickle.file(pickle.int(1)),
    pickle.file(pickle.tuple(pickle.int(11), pickle.text('cpu'), pickle.global('torch', 'FloatStorage'))),
    ...[uint64(6n), float32(1, 2, 3, 4, 5, 6)],
    pickle.file(pickle.list(pickle.tuple(pickle.int(12), pickle.int(11), pickle.int(2), pickle.int(4)))),
  );
  const tensors = bytes(
    pickle.file(pickle.int(1)),
    pickle.file(pickle.tuple(pickle.int(21), pickle.int(12), pickle.global('torch', 'FloatTensor'))),
    ...[uint32(2), uint32(0), uint64(2n), uint64(2n), uint64(1n), uint64(2n), uint64(0n)],
  );
  const object = pickle.file(pickle.dict([pickle.text('w'), bytes(pickle.int(21), 'Q')]));
  const members = { sys_info: pickle.file(pickle.dict()), pickle: object, tensors, storages };
  const blocks = Object.entries(members).flatMap(([name, data]) => {
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write(data.length.toString(8).padStart(11, '0'), 124);
    header.write('0', 156);
    return [header, data, Buffer.alloc((512 - (data.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

export const TORCH: readonly ReaderEntry[] = [
  {
    name: 'torch-zip',
    seeds: () => [
      ...fixtures(/^zip_.*\.(?:pt|ckpt)$/),
      oneFile('bare.pt', torchZip(torchTensor([2, 3], [3, 1]))),
    ],
    sharedSeeds: () => sharedFiles(/^pt_format_variants\/.*\.pt$/, (name) => name.endsWith('broken.pt')),
    mutators: () => [...ZIP, ...Array<typeof insidePickles>(ZIP.length).fill(insidePickles)],
  },
  {
    name: 'torch-legacy',
    seeds: () => fixtures(/^legacy_.*\.pt$/),
    mutators: () => PICKLE,
  },
  {
    name: 'torch-tar',
    seeds: () => [oneFile('old.pt', repairedTar(oldTar()))],
    mutators: () => [setTarField, ...PICKLE],
    repair: repairedTar,
  },
  {
    name: 'pickle',
    seeds: () => fixtures(/^arrays_protocol\d\.pkl$/),
    // Attacks on programs that run pickles; nothing is run here, and most are refused.
    sharedSeeds: () => sharedFiles(/^hostile_picklescan\/data\/.*\.(?:pkl|pickle|zip|pt|bin)$/, () => true),
    mutators: () => PICKLE,
  },
];
