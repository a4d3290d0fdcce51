/** What pickles name, however they say it. */
import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { inspect, type Inspection } from '../../src/checkpoint/inspect';
import { judgeGlobal } from '../../src/checkpoint/inspect/judge';
import { bytes, pickle, temporaryFolder, torchTensor, uint32, uint64 } from '../fixtures/handmade';

const { folder, write } = temporaryFolder();
let files = 0;

function inspected(content: Uint8Array | string, name = 'model.pkl'): Promise<Inspection> {
  const data = typeof content === 'string' ? Buffer.from(content, 'latin1') : content;
  return inspect(write(`${++files}-${name}`, data));
}

const named = ({ globals }: Inspection) => globals.map(({ name }) => name).sort();
const messages = ({ findings }: Inspection) => findings.map(({ message }) => message).join('\n');

describe('judging names', () => {
  const cases: readonly (readonly [module: string, name: string, level: string])[] = [
    ['collections', 'OrderedDict', 'safe'],
    ['torch._utils', '_rebuild_tensor_v2', 'safe'],
    ['torch', 'FloatStorage', 'safe'],
    ['numpy.core.multiarray', '_reconstruct', 'safe'],
    ['__torch__.model', 'Net', 'safe'],
    ['__main__', 'Net', 'unknown'],
    ['torch.nn.modules.linear', 'Linear', 'unknown'],
    ['functools', 'partial', 'unknown'],
    ['os', 'system', 'dangerous'],
    ['nt', 'system', 'dangerous'],
    ['os.path', 'join', 'dangerous'],
    ['builtins', 'eval', 'dangerous'],
    ['__builtin__', 'file', 'dangerous'],
    ['builtins', 'set', 'safe'],
    ['importlib', 'import_module', 'dangerous'],
    ['ctypes', 'CDLL', 'dangerous'],
    ['types', 'CodeType', 'dangerous'],
    ['operator', 'methodcaller', 'dangerous'],
    ['torch.hub', 'load', 'dangerous'],
    ['torch.jit', 'load', 'dangerous'],
    ['numpy.testing._private.utils', 'runstring', 'dangerous'],
    ['timeit', 'timeit', 'dangerous'],
    ['code', 'InteractiveInterpreter.runcode', 'dangerous'],
    // Through what another module has imported.
    ['torch', 'os.system', 'dangerous'],
    ['random', '_os.system', 'dangerous'],
    ['logging', 'sys.modules', 'dangerous'],
    ['torch.serialization.os', 'system', 'dangerous'],
    ['anything', 'f.__globals__', 'dangerous'],
    ['collections', 'OrderedDict.__init_subclass__', 'dangerous'],
    // A project's own files may be called what Python's modules are.
    ['code.model', 'Net', 'unknown'],
    ['project.io.layers', 'Net', 'unknown'],
    ['project', 'trace', 'unknown'],
    ['test.model', 'Net', 'unknown'],
    ['osmium', 'System', 'unknown'],
    // What looks like a harmless name and is not.
    ['collections', 'OrderedDict ', 'unknown'],
    ['Collections', 'OrderedDict', 'unknown'],
    ['', '', 'unknown'],
    ['__proto__', 'constructor', 'unknown'],
  ];
  for (const [module, name, level] of cases)
    it(`${module}.${name} is ${level}`, () => {
      assert.equal(judgeGlobal(module, name).level, level);
    });
});

describe('ways to name a global', () => {
  const short = (text: string) => bytes('\x8c', text.length, text);
  const cases: Readonly<Record<string, Uint8Array | string>> = {
    GLOBAL: 'cos\nsystem\n.',
    INST: "(S'id'\nios\nsystem\n.",
    'OBJ of a GLOBAL': "(cos\nsystem\nS'id'\no.",
    STACK_GLOBAL: bytes('\x80\x04', short('os'), short('system'), '\x93.'),
    'memo by PUT and GET': "S'os'\np7\n0S'system'\np8\n0g7\ng8\n\x93.",
    'memo by BINPUT, LONG_BINGET': bytes(
      '\x80\x04',
      short('os'),
      'q\x05',
      '0',
      short('system'),
      'r',
      uint32(300),
      '0h\x05j',
      uint32(300),
      '\x93.',
    ),
    'memo by MEMOIZE, which counts other keys': bytes(
      '\x80\x04',
      'Np5\n0',
      short('os'),
      '\x94',
      '0h\x01',
      short('system'),
      '\x93.',
    ),
    'memo with keys as int() reads them': "S'os'\np 1_0\n0g+10\nS'system'\n\x93.",
    'DUP and POP': bytes('\x80\x04', short('x'), short('os'), '2', '0', short('system'), '\x93.'),
    POP_MARK: bytes('\x80\x04', short('os'), '(K\x01K\x021', short('system'), '\x93.'),
    'escapes of STRING': "S'\\x6f\\163'\nS'system'\n\x93.",
    'escapes of UNICODE': 'V\\u006fs\nV\\U00000073ystem\n\x93.',
    'long text opcodes': bytes('\x80\x04', '\x8d', uint64(2n), 'os', 'X', uint32(6), 'system', '\x93.'),
    'bytes in place of text': bytes('\x80\x04', 'C\x02os', 'B', uint32(6), 'system', '\x93.'),
    'a last line without its newline': 'cos\nsystemX',
    'within a frame that lies about its length': bytes(
      '\x80\x04\x95',
      uint64(3n),
      short('os'),
      short('system'),
      '\x93.',
    ),
    'after a number of a thousand digits': `L${'9'.repeat(1000)}L\n0cos\nsystem\n.`,
    'after a long line of text': `V${'x'.repeat(200_000)}\n0cos\nsystem\n.`,
    'after what Python would choke on': 'I not a number\n0cos\nsystem\n.',
    'after a persistent id': 'Pkey\n0cos\nsystem\n.',
    'in a later pickle': bytes('\x80\x02N.', '\x80\x02cos\nsystem\n.'),
    'before the pickle breaks': bytes('\x80\x02cos\nsystem\n', '\xff\xff'),
    'after other bytes': bytes('junk junk\x00', '\x80\x02cos\nsystem\n(X', uint32(2), 'idtR.'),
    'in what follows the pickle': bytes('\x80\x02N.', 'zzzz', '\x80\x02cos\nsystem\n(X', uint32(2), 'idtR.'),
  };
  for (const [name, content] of Object.entries(cases))
    it(name, async () => {
      const found = await inspected(content);
      assert.ok(named(found).includes('os.system'), JSON.stringify(found));
      assert.equal(found.verdict, 'dangerous');
    });

  it('tells whether it is called', async () => {
    const { globals } = await inspected(bytes('cos\nsystem\ncos\npopen\n(tR.'));
    assert.deepEqual(
      globals.map(({ name, called, count }) => [name, called, count]),
      [
        ['os.system', false, 1],
        ['os.popen', true, 1],
      ],
    );
  });

  it('an extension code is unknown', async () => {
    const found = await inspected('\x80\x02\x82\x07.');
    assert.deepEqual([found.verdict, named(found)], ['unknown', ['copyreg.extension_7']]);
  });

  it('a name that is put together as the pickle is read is suspicious', async () => {
    const found = await inspected(bytes('\x80\x04', 'ccollections\nOrderedDict\n)R\x8c\x06system\x93.'));
    assert.equal(found.verdict, 'suspicious');
    assert.match(messages(found), /put together while it is read/);
  });
});

describe('more than names', () => {
  it('a change of a module or class itself', async () => {
    const found = await inspected('\x80\x02ccollections\nOrderedDict\n}b.');
    assert.equal(found.verdict, 'suspicious');
    assert.match(messages(found), /changes collections\.OrderedDict itself/);
  });

  it('a pickle that is handed to another unpickler, in each of its spellings', async () => {
    const inner = Buffer.from('\x80\x02cos\nsystem\n.', 'latin1');
    const load = 'ctorch.storage\n_load_from_bytes\n';
    const spellings = {
      bytes: bytes('\x80\x03', load, 'C', inner.length, inner, '\x85R.'),
      encoded: bytes(
        '\x80\x02',
        load,
        'c_codecs\nencode\n',
        pickle.text(inner.toString('latin1')),
        pickle.text('latin1'),
        '\x86R\x85R.',
      ),
      // A text of the oldest protocol, with its line feeds escaped.
      unicode: bytes(load, '(c_codecs\nencode\n(V\\u0080\\u0002cos\\u000asystem\\u000a.\nVlatin1\ntRtR.'),
    };
    for (const [name, content] of Object.entries(spellings)) {
      const found = await inspected(content);
      assert.ok(named(found).includes('os.system'), name);
      assert.match(found.globals[0]?.where ?? '', /^bytes at \d+$/, name);
    }
    const hidden = await inspected(bytes('\x80\x03', load, 'ccollections\nOrderedDict\n)R\x85R.'));
    assert.match(messages(hidden), /nobody can tell which/);
    assert.equal(hidden.verdict, 'suspicious');
  });

  it('a state dict is safe, whole or as several pickles', async () => {
    const state = pickle.file(pickle.dict([pickle.text('w'), torchTensor([2, 3], [3, 1])]));
    assert.equal((await inspected(state)).verdict, 'safe');
    const found = await inspected(bytes(state, state));
    assert.equal(found.verdict, 'safe');
    assert.match(found.notes.join(), /2 pickles one after another/);
  });

  it('each of the five pickles of a PyTorch file, however short', async () => {
    const magic = '\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.';
    const found = await inspected(
      bytes(magic, 'I1001\n.', '}.', 'c__main__\nNet\n.', '].', 'storages'),
      'a.pt',
    );
    assert.deepEqual([found.verdict, named(found)], ['unknown', ['__main__.Net']]);
  });

  it('gzip around it', async () => {
    assert.equal((await inspected(gzipSync(Buffer.from('cos\nsystem\n.')), 'a.pkl.gz')).verdict, 'dangerous');
  });

  it('prose is no pickle', async () => {
    for (const text of ['Once upon a time.\n', 'config\nname\n', '# Read me\n\nN.', '(see below).\n'])
      assert.notEqual((await inspected(text, 'notes.txt')).verdict, 'dangerous', text);
  });

  it('an object array is looked into, a plain one is not', async () => {
    const npy = (descr: string, data: Uint8Array) => {
      const header = `{'descr': ${descr}, 'fortran_order': False, 'shape': (1,), }`.padEnd(117) + '\n';
      return bytes('\x93NUMPY\x01\x00', header.length & 0xff, header.length >> 8, header, data);
    };
    const evil = Buffer.from('\x80\x02cos\nsystem\n.', 'latin1');
    assert.equal((await inspected(npy("'|O'", evil), 'a.npy')).verdict, 'dangerous');
    assert.equal((await inspected(npy("[('a', '<f4'), ('b', 'O')]", evil), 'a.npy')).verdict, 'dangerous');
    for (const spelling of ["'2O'", "'|\\x4f'", "'|' 'O'", "'f4,O'"])
      assert.equal((await inspected(npy(spelling, evil), 'a.npy')).verdict, 'dangerous', spelling);
    assert.equal((await inspected(npy("'<f4'", evil), 'a.npy')).verdict, 'safe');
    const record = npy("[('Output', '<f4')]", Buffer.alloc(4, 7));
    assert.deepEqual((await inspected(record, 'a.npy')).findings, []);
  });
});

describe('bounds', () => {
  /** A sparse file: `head` and then nothing for a long way. */
  function sparse(name: string, head: Uint8Array, size: number): string {
    const file = path.join(folder, name);
    const handle = openSync(file, 'w');
    writeSync(handle, head);
    ftruncateSync(handle, size);
    closeSync(handle);
    return file;
  }

  async function timed(file: string): Promise<{ found: Inspection; seconds: number; megabytes: number }> {
    const before = process.memoryUsage().rss;
    const start = performance.now();
    const found = await inspect(file);
    const seconds = (performance.now() - start) / 1000;
    return { found, seconds, megabytes: (process.memoryUsage().rss - before) / 1e6 };
  }

  it('a safetensors file of 20 GB takes no longer than a small one', async () => {
    const size = 20e9;
    const header = Buffer.from('');
    const json = `{"w":{"dtype":"U8","shape":[SIZE],"data_offsets":[0,SIZE]}}`;
    const filled = json.replaceAll('SIZE', String(size)).padEnd(96);
    const file = sparse('big.safetensors', bytes(uint64(96n), filled, header), 8 + 96 + size);
    const { found, seconds, megabytes } = await timed(file);
    assert.equal(found.verdict, 'safe');
    assert.ok(seconds < 5 && megabytes < 100, `${seconds} s, ${megabytes} MB`);
  });

  it("a legacy PyTorch file of 4 GB: its tensors' bytes are stepped over", async () => {
    const magic = bytes('\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.', '\x80\x02M\xe9\x03.', '\x80\x02}.');
    const object = pickle.file(
      pickle.dict([pickle.text('w'), torchTensor([1000, 1000000], [1000000, 1], { elements: 1e9 })]),
    );
    const head = bytes(magic, object, '\x80\x02]X\x01\x00\x00\x000a.', uint64(1_000_000_000n));
    const { found, seconds, megabytes } = await timed(sparse('big.pt', head, head.length + 4e9));
    assert.deepEqual([found.format, found.verdict], ['PyTorch (legacy)', 'safe']);
    assert.ok(seconds < 5 && megabytes < 100, `${seconds} s, ${megabytes} MB`);
  });

  it('a pickle of one value of 4 GB, and one that only says so', async () => {
    const file = sparse('value.pkl', bytes('\x80\x05\x8e', uint64(4_000_000_000n)), 4_000_000_012);
    const { found, seconds } = await timed(file);
    assert.match(messages(found), /broken pickle|does not end/);
    assert.ok(seconds < 5, `${seconds} s`);
    for (const size of [2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 64n - 1n])
      assert.match(messages(await inspected(bytes('\x80\x05\x8e', uint64(size)))), /does not end/);
  });

  it('time is linear in the opcodes', async () => {
    const seconds = async (count: number) => {
      const one = bytes('\x80\x04', '\x8c\x02os\x94K\x010h\x000'.repeat(count), 'N.');
      const file = write('linear.pkl', one);
      return (await timed(file)).seconds;
    };
    await seconds(20_000);
    const [few, many] = [await seconds(100_000), await seconds(400_000)];
    assert.ok(many < 12 * few + 0.5, `${few} s for 100,000, ${many} s for 400,000`);
  });

  it('endless marks, duplicates and tuples in tuples end', async () => {
    for (const opcode of ['(', '2', '\x85', ']', '}\x94']) {
      const found = await inspected(bytes('\x80\x04N', opcode.repeat(1_000_000), '.'));
      assert.ok(found.bytes > 1_000_000);
    }
  });

  it('any bytes end, with nothing thrown', async () => {
    let state = 7;
    const next = () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 16;
    for (let round = 0; round < 400; round++) {
      const junk = Uint8Array.from({ length: 300 }, () => next() & 0xff);
      if (round % 2 === 0) junk.set([0x80, round % 6]);
      await inspected(junk, ['a.pkl', 'a.bin', 'a.pt', 'a'][round % 4]);
    }
  });

  it('is cancelled', async () => {
    const file = write('long.pkl', bytes('\x80\x04', '(1'.repeat(3_000_000), 'N.'));
    const controller = new AbortController();
    const running = inspect(file, controller.signal);
    setTimeout(() => {
      controller.abort(new Error('enough'));
    }, 20);
    await assert.rejects(running, /enough/);
  });
});
