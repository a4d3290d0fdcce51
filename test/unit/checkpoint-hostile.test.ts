import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, truncateSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { CheckpointError } from '../../src/checkpoint/errors';
import { openCheckpoint } from '../../src/checkpoint/open';
import { readTensorBytes } from '../../src/checkpoint/tensorData';
import { ROOT, sharedData } from '../reference/references';
import {
  bytes,
  float32,
  pickle,
  safetensors,
  temporaryFolder,
  torchTensor,
  torchZip,
  uint32,
  uint64,
  zip,
} from '../fixtures/handmade';

const { call, dict, file: pickleFile, global, int, list, text } = pickle;

const { folder, write } = temporaryFolder();

/** Requires a one-line CheckpointError, in good time. */
async function assertRefused(name: string, content: Uint8Array, message: RegExp): Promise<void> {
  const file = write(name, content);
  const before = performance.now();
  await assert.rejects(openCheckpoint(file), (error) => {
    assert.ok(error instanceof CheckpointError, String(error));
    assert.match(error.message, message);
    assert.ok(!error.message.includes('\n'), 'one line');
    assert.ok(error.message.startsWith(file), 'names the file');
    return true;
  });
  assert.ok(performance.now() - before < 5000, 'takes under five seconds');
}

describe('safetensors', () => {
  const tensor = (name: string, begin: number, end: number, shape = `[${(end - begin) / 4}]`): string =>
    `"${name}":{"dtype":"F32","shape":${shape},"data_offsets":[${begin},${end}]}`;
  const refused = (header: string, message: RegExp, data = Buffer.alloc(8), length?: bigint): Promise<void> =>
    assertRefused('hostile.safetensors', safetensors(header, data, length), message);

  test('a header of 2^63 bytes', () =>
    refused('{}', /header of 9223372036854775808 bytes/, undefined, 1n << 63n));
  test('a header longer than the file', () =>
    refused('{}', /header of 5000 bytes in a file of/, undefined, 5000n));
  test('a header that is no JSON', () => refused('{"a":', /byte 13: JSON/));
  test('overlapping ranges', () =>
    refused(`{${tensor('a', 0, 8)},${tensor('b', 4, 8)}}`, /tensor "b", byte \d+: its bytes overlap/));
  test('a range outside the file', () =>
    refused(`{${tensor('a', 0, 4000)}}`, /tensor "a".*the file ends at/));
  test('a range that ends before it begins', () =>
    refused(`{${tensor('a', 8, 0, '[0]')}}`, /before they begin/));
  test('bytes that belong to no tensor', () =>
    refused(`{${tensor('a', 4, 8)}}`, /4 bytes before it belong to no tensor/));
  test('a file longer than its tensors', () =>
    refused(`{${tensor('a', 0, 4)}}`, /4 bytes at the end belong to no tensor/));
  test('a shape that does not fit the bytes', () =>
    refused(`{${tensor('a', 0, 8, '[3]')}}`, /tensor "a".*needs 12 bytes, not 8/));
  test('a shape beyond 2^53', () =>
    refused(`{${tensor('a', 0, 8, '[4294967296,4294967296]')}}`, /beyond any file/));
  test('a negative size', () => refused(`{${tensor('a', 0, 8, '[-2]')}}`, /whole number/));
  test('a fractional size', () => refused(`{${tensor('a', 0, 8, '[2.0]')}}`, /whole number/));
  test('a name given twice', () =>
    refused(`{${tensor('a', 0, 4)},${tensor('a', 4, 8)}}`, /the key "a" is given twice/));
  test('a field given twice', () =>
    refused(
      '{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
      /"dtype" is given twice/,
    ));
  test('a shape of a million axes', () =>
    refused(`{"a":{"shape":[${'1,'.repeat(1e6)}1]}}`, /more than 64 axes/));
  test('a million keys of metadata', () =>
    refused(
      `{"__metadata__":{${Array.from({ length: 1e6 }, (_, i) => `"${String(i)}":""`).join()}}}`,
      /more than 500000 members/,
    ));
  test('nesting of a hundred thousand levels', () => refused(`{"a":{"shape":${'['.repeat(1e5)}`, /JSON/));
  test('metadata that is not text', () => refused(`{"__metadata__":{"a":[1]}}`, /text was expected/));
  test('control characters in a name do not reach the terminal', () =>
    refused(`{${tensor('\\u001b[2J\\u202e', 0, 8, '[3]')}}`, /tensor "\\u001b\[2J\\u202e"/));

  test('__proto__ and constructor are names like any other', async () => {
    const header = `{${tensor('__proto__', 0, 4)},${tensor('constructor', 4, 8)}}`;
    const { tensors } = await openCheckpoint(write('proto.safetensors', safetensors(header, float32(1, 2))));
    assert.deepEqual(
      tensors.map(({ name }) => name),
      ['__proto__', 'constructor'],
    );
    assert.equal(({} as Record<string, unknown>).dtype, undefined);
  });

  test('a sparse file of 13 GB opens at once', async () => {
    const size = 13 * 1024 ** 3;
    const header = `{${tensor('a', 0, size)}}`;
    const file = write('sparse.safetensors', safetensors(header));
    truncateSync(file, 8 + header.length + size);
    const before = performance.now();
    assert.equal((await openCheckpoint(file)).tensors[0]?.storage.byteLength, size);
    assert.ok(performance.now() - before < 250);
  });
});

describe('ZIP archives', () => {
  const object = pickleFile(torchTensor([6], [1]));
  const data = float32(1, 2, 3, 4, 5, 6);
  const entries = [
    { name: 'm/data.pkl', data: object },
    { name: 'm/data/0', data },
  ] as const;
  const [pickleEntry, storage] = entries;
  const refused = (content: Buffer, message: RegExp): Promise<void> =>
    assertRefused('hostile.pt', content, message);

  test('the same archive without any lie opens', async () => {
    assert.equal((await openCheckpoint(write('honest.pt', zip(entries)))).tensors.length, 1);
  });
  test('overlapping entries', () =>
    refused(zip([pickleEntry, { ...storage, localHeader: 1 }]), /overlaps what follows it/));
  test('two entries of one name', () =>
    refused(zip([pickleEntry, storage, storage]), /two entries are called "m\/data\/0"/));
  test('an encrypted entry', () => refused(zip([pickleEntry, { ...storage, flags: 1 }]), /is encrypted/));
  test('a name that leaves the archive', () =>
    refused(zip([...entries, { name: '../x', data }]), /leaves the archive/));
  test('names that lead out of an archive whose own folder is called ..', async () => {
    const own = [
      { name: '../data.pkl', data: object },
      { name: '../data/0', data },
    ];
    assert.equal((await openCheckpoint(write('....pt', zip(own)))).tensors.length, 1);
    await refused(zip([...own, { name: '../../x', data }]), /leaves the archive/);
    await refused(zip([...own, { name: 'x', data }]), /leaves the archive/);
  });
  test('an absolute name', () => refused(zip([...entries, { name: '/etc/x', data }]), /leaves the archive/));
  test('another name where the data begins', () =>
    refused(
      zip([pickleEntry, { ...storage, localName: 'm/data/1' }]),
      /is called "m\/data\/1" where its data begins/,
    ));
  test('two sizes for stored data', () =>
    refused(zip([pickleEntry, { ...storage, byteLength: 4000 }]), /two sizes/));
  test('a size beyond the archive', () =>
    refused(
      zip([pickleEntry, { ...storage, byteLength: 4000, compressedLength: 4000 }]),
      /overlaps what follows/,
    ));
  test('two pickles', () =>
    refused(zip([...entries, { name: 'n/data.pkl', data: object }]), /another data\.pkl/));
  test('a ratio that DEFLATE cannot reach', () =>
    refused(zip([{ ...pickleEntry, deflate: true, byteLength: 2 ** 30 }, storage]), /cannot come of/));
  test('a pickle that inflates to a gigabyte', async () => {
    const bomb = { name: 'm/data.pkl', data: Buffer.alloc(2 ** 28), deflate: true };
    await refused(zip([bomb]), /more than 134217728, to be read at once/);
    await refused(zip([{ ...bomb, byteLength: 1000 }]), /does not inflate/);
  });
  test('a storage that inflates to more than it says', async () => {
    const bomb = { name: 'm/data/0', data: Buffer.alloc(2 ** 26), deflate: true, byteLength: 24 };
    const { tensors } = await openCheckpoint(write('storage.pt', zip([pickleEntry, bomb])));
    const [tensor] = tensors;
    assert.ok(tensor !== undefined);
    await assert.rejects(readTensorBytes(tensor), /tensor "storage".*does not inflate/);
  });
  test('a missing storage', () =>
    refused(zip([pickleEntry]), /tensor "hostile".*"m\/data\/0" is not in the archive/));
  test('a storage shorter than its tensor', () =>
    refused(
      zip([pickleEntry, { name: 'm/data/0', data: data.subarray(4) }]),
      /tensor "hostile", byte \d+: reaches element 5/,
    ));
});

describe('pickles', () => {
  const refused = (object: Buffer, message: RegExp): Promise<void> =>
    assertRefused('hostile.pkl', pickleFile(object), message);
  const refusedTensor = (tensor: Buffer, message: RegExp): Promise<void> =>
    assertRefused('hostile.pt', torchZip(tensor), message);

  test('a pickle that would create a file when executed creates none', async () => {
    for (const [module, name] of [
      ['os', 'system'],
      ['posix', 'system'],
      ['builtins', 'exec'],
      ['subprocess', 'call'],
    ] as const) {
      const canary = path.join(folder, `canary-${module}`);
      const command = name === 'exec' ? `open(${JSON.stringify(canary)}, "w")` : `touch ${canary}`;
      const content = pickleFile(call(global(module, name), text(command)));
      const hidden = torchZip(
        dict([text('w'), torchTensor([6], [1])], [text('x'), call(global(module, name), text(command))]),
      );
      await assertRefused(
        'canary.pkl',
        content,
        new RegExp(`no tensors found; it names ${module}\\.${name} \\(not followed\\)`),
      );
      const opened = await openCheckpoint(write('canary.pt', hidden));
      assert.deepEqual(opened.notes, [`Names ${module}.${name} (not imported)`]);
      assert.ok(!existsSync(canary));
    }
  });

  test('a list that contains itself', () => refused(bytes(']q\x00h\x00a'), /no tensors found/));
  test('a dict that contains itself a thousand levels down', () =>
    refused(bytes('}q\x00', text('a'), '}'.repeat(1), text('b'), 'h\x00', 's', 's'), /no tensors found/));
  test('a list nested half a million deep', () =>
    refused(bytes(']'.repeat(450_000), 'a'.repeat(449_999)), /no tensors found/));
  test('two references to two references, sixty levels deep', () => {
    const levels = Array.from({ length: 60 }, (_, i) =>
      bytes(']', [0x71, i + 1], 'h', [i], 'a', 'h', [i], 'a'),
    );
    return refused(bytes(']q\x00', ...levels), /no tensors found/);
  });
  test('a memo of four billion', () =>
    refused(bytes('Nr\xff\xff\xff\xff', 'j\xfe\xff\xff\xff'), /recalls value 4294967294/));
  test('fifty million opcodes', () =>
    refused(bytes(Buffer.alloc(50_000_000, 'N0')), /more than 10000000 opcodes/));
  test('five million empty lists', () =>
    refused(bytes('(', Buffer.alloc(5_000_000, ']'), 'l'), /more than 500000 objects/));
  test('five million empty dicts kept one in another', () =>
    refused(bytes(Buffer.alloc(5_000_000, '}')), /more than 500000 objects/));
  test('a dict copied again and again', () => {
    const big = bytes('}(', ...Array.from({ length: 2000 }, (_, i) => bytes(int(i), 'N')), 'u');
    const copies = Array.from({ length: 2000 }, () =>
      bytes(global('collections', 'OrderedDict'), 'h\x00\x85R0'),
    );
    return refused(bytes(big, 'q\x00', ...copies), /more than 500000 objects/);
  });
  test('half a million names of classes', () => {
    const names = Array.from({ length: 600_000 }, (_, i) => `cx\n${String(i)}\n`).join('');
    return refused(bytes('(', names, 'l'), /more than 500000 objects/);
  });
  test('a hundred thousand open marks', () =>
    refused(bytes('('.repeat(100_000)), /more than 10000 open marks/));
  test('text longer than the file', () =>
    refused(bytes('X', uint32(0x7fffffff), 'a'), /needs 2147483647 more bytes/));
  test('bytes of 2^63', () => refused(bytes('\x8e', uint64(1n << 63n)), /a length beyond any file/));
  test('a frame longer than the file', () => refused(bytes('\x95', uint64(1n << 40n)), /more bytes/));
  test('an integer of a megabyte', () =>
    refused(bytes('\x8b', uint32(1 << 20), Buffer.alloc(1 << 20, 1)), /an integer of 1048576 bytes/));
  test('protocol 6', () => assertRefused('six.pkl', bytes('\x80\x06N.'), /protocol 6|known format/));
  test('a class whose name is no text', () => refused(bytes('NN\x93'), /not text/));
  test('a stack that runs empty', () => refused(bytes('R'), /takes a value that is not there/));
  test('an item set on a function', () => refused(bytes(global('os', 'system'), text('a'), 'Ns'), /no dict/));
  test('a reference outside a plain pickle', () =>
    refused(bytes(text('x'), 'Q'), /reference that is not to a storage/));

  test('tensors with impossible views', async () => {
    await refusedTensor(
      torchTensor([7], [1]),
      /tensor "hostile", byte \d+: reaches element 6 of a storage of 24 bytes/,
    );
    await refusedTensor(torchTensor([2], [1], { offset: 5 }), /reaches element 6/);
    await refusedTensor(torchTensor([-1], [1]), /a size of -1/);
    await refusedTensor(torchTensor([2], [-1]), /a negative stride/);
    await refusedTensor(torchTensor([2], [1], { offset: -1 }), /an offset that is no position/);
    await refusedTensor(torchTensor([2, 2], [1]), /1 strides for 2 axes/);
    await refusedTensor(torchTensor([0x7fffffff, 0x7fffffff], [0, 0]), /beyond any file/);
    await refusedTensor(
      torchTensor(new Array<number>(100).fill(1), new Array<number>(100).fill(1)),
      /100 axes/,
    );
  });

  test('one element repeated two billion times is not written out', async () => {
    const { tensors, unreadable } = await openCheckpoint(
      write('expanded.pt', torchZip(torchTensor([0x7fffffff], [0]))),
    );
    assert.equal(tensors.length, 0);
    assert.equal(unreadable[0]?.reason, 'it repeats 1 stored elements 2147483647 times over');
  });

  test('__proto__ as key, attribute and class', async () => {
    const object = bytes(
      global('__proto__', '__proto__'),
      ')\x81',
      dict([text('__proto__'), torchTensor([6], [1])]),
      'b',
    );
    const { tensors } = await openCheckpoint(write('proto.pt', torchZip(dict([text('__proto__'), object]))));
    assert.deepEqual(
      tensors.map(({ name }) => name),
      ['__proto__.__proto__'],
    );
    assert.equal(({} as Record<string, unknown>).kind, undefined);
  });

  test('a hundred thousand references to one tensor under a long name', async () => {
    const under = (length: number): Buffer => {
      const references = bytes(']', '(', Buffer.alloc(200_000, 'h\x07'), 'e');
      return torchZip(
        dict([text('w'), bytes(torchTensor([6], [1]), 'q\x07')], [text('k'.repeat(length)), references]),
      );
    };
    await assertRefused('long.pt', under(4000), /too long names/);
    const { tensors, notes } = await openCheckpoint(write('longer.pt', under(60_000)));
    assert.deepEqual(
      tensors.map(({ name }) => name),
      ['w'],
    );
    assert.match(notes.join(), /names too long, were not searched/);
  });

  test('settings beside the tensors do no harm', async () => {
    const object = dict(
      [text('w'), torchTensor([6], [1])],
      [text('n'), list(int(1), call(global('builtins', 'slice'), int(1)))],
    );
    assert.deepEqual((await openCheckpoint(write('plain.pt', torchZip(object)))).notes, []);
  });
});

const fixtures = path.join(ROOT, 'test/fixtures');
const small = [
  'zip_views.pt',
  'legacy_views.pt',
  'compressed.npz',
  'fortran.npy',
  'arrays_protocol2.pkl',
  'arrays_protocol5.pkl',
];

/** Opens and reads all; anything but a result or a CheckpointError fails. */
async function survive(file: string): Promise<'read' | 'refused'> {
  try {
    const { tensors } = await openCheckpoint(file);
    for (const tensor of tensors) await readTensorBytes(tensor);
    return 'read';
  } catch (error) {
    assert.ok(error instanceof CheckpointError, error instanceof Error ? error.stack : String(error));
    assert.ok(!error.message.includes('\n'));
    return 'refused';
  }
}

describe('damaged files give a result or a CheckpointError', () => {
  for (const name of small) {
    test(`${name}, cut off at every byte`, async () => {
      const whole = readFileSync(path.join(fixtures, name));
      for (let length = 0; length < whole.length; length++) {
        const outcome = await survive(write(`cut-${name}`, whole.subarray(0, length)));
        assert.equal(outcome, 'refused', `cut off at byte ${length}`);
      }
    });

    test(`${name}, a byte changed five hundred times`, async () => {
      const whole = readFileSync(path.join(fixtures, name));
      const random = xorshift(name.length);
      let read = 0;
      for (let round = 0; round < 500; round++) {
        const changed = Buffer.from(whole);
        changed[random() % whole.length] = random() % 256;
        if ((await survive(write(`changed-${name}`, changed))) === 'read') read++;
      }
      assert.ok(read > 0 && read < 500, `${read} of 500 could be read`);
    });
  }
});

/** Marsaglia's 32-bit generator: the same numbers every time. */
function xorshift(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

describe('collected hostile files', () => {
  const data = sharedData();
  const collected = data === undefined ? undefined : path.join(data, 'hostile_picklescan/data');
  test(
    'each gives a result or one line within five seconds',
    { skip: collected === undefined && 'the shared data is not here' },
    async () => {
      if (collected === undefined) return;
      const readable: string[] = [];
      for (const name of readdirSync(collected)) {
        const before = performance.now();
        if ((await survive(path.join(collected, name))) === 'read') readable.push(name);
        assert.ok(performance.now() - before < 5000, name);
      }
      assert.deepEqual(
        readable.sort(),
        ['new_pytorch_model.bin', 'pytorch_model.bin'],
        'the two that hold tensors',
      );
    },
  );
});
