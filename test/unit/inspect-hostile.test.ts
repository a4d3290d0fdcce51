/** Real hostile files: what they name, against Python's own pickletools; and that nothing in them runs. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { inspect } from '../../src/checkpoint/inspect';
import { decodeLzma, decodeLzma2 } from '../../src/checkpoint/inspect/lzma';
import { temporaryFolder } from '../fixtures/handmade';
import { ROOT, sharedData } from '../reference/references';

interface Reference {
  readonly hostile_picklescan: Readonly<Record<string, readonly string[]>>;
  readonly streams: readonly {
    readonly method: 'lzma' | 'lzma2';
    readonly properties: number;
    readonly size: number;
    readonly sha256: string;
    readonly packed: string;
  }[];
}

const text = readFileSync(path.join(ROOT, 'test/reference/inspection.json'), 'utf8');
// The project's own file, made by make_inspection.py in this shape.
const reference = JSON.parse(text) as Reference;
const shared = sharedData();
const folder = shared === undefined ? undefined : path.join(shared, 'hostile_picklescan/data');

/** What is not dangerous, and what it is instead; all other files of the folder are attacks. */
const VERDICTS: Readonly<Record<string, string>> = {
  'bad_pytorch.pt': 'unknown', // a picture
  'benign0_v0.pkl': 'safe',
  'benign0_v3.pkl': 'safe',
  'benign0_v4.pkl': 'safe',
  'benign_password_protected.zip': 'suspicious', // nobody can see what is encrypted
  'new_pytorch_model.bin': 'safe',
  'not_a_pickle.bin': 'unknown',
  'pytorch_model.bin': 'safe',
};

/** The global that does the harm, by file; found by reading the opcodes. */
const HARM: Readonly<Record<string, string>> = {
  'broken_model.pkl': 'builtins.exec',
  'malicious-invalid-bytes.pkl': 'os.system',
  'malicious0.pkl': '__builtin__.eval',
  'malicious1.7z': 'builtins.eval',
  'malicious1.zip': 'builtins.eval',
  'malicious10.pkl': '__builtin__.exec',
  'malicious11.pkl': 'os.system',
  'malicious12.pkl': 'operator.attrgetter',
  'malicious13a.pkl': 'pickle.loads',
  'malicious13b.pkl': '_pickle.loads',
  'malicious14.pkl': 'runpy._run_code',
  'malicious15a.pkl': 'bdb.Bdb',
  'malicious15b.pkl': 'bdb.Bdb.run',
  'malicious16.pkl': 'pip.main',
  'malicious17.pkl': 'torch._inductor.codecache.compile_file',
  'malicious18.pkl': 'pydoc.pipepager',
  'malicious19.pkl': 'torch.serialization.load',
  'malicious1_0x1.zip': 'builtins.eval',
  'malicious1_0x20.zip': 'builtins.eval',
  'malicious1_0x40.zip': 'builtins.eval',
  'malicious1_central_directory.zip': 'builtins.eval',
  'malicious1_v0.pkl': '__builtin__.eval',
  'malicious1_v3.pkl': 'builtins.eval',
  'malicious1_v4.pkl': 'builtins.eval',
  'malicious1_wrong_ext.zip': 'builtins.eval',
  'malicious20.pkl': 'venv.create',
  'malicious2_v0.pkl': 'posix.system',
  'malicious2_v3.pkl': 'posix.system',
  'malicious2_v4.pkl': 'posix.system',
  'malicious3.pkl': 'httplib.HTTPSConnection',
  'malicious4.pickle': 'requests.api.get',
  'malicious5.pickle': 'aiohttp.client.ClientSession',
  'malicious6.pkl': 'requests.api.get',
  'malicious7.pkl': 'socket.create_connection',
  'malicious8.pkl': 'subprocess.run',
  'malicious9.pkl': 'sys.exit',
  'pytorch_magic_bypass.pt': 'posix.system',
  'sys_module_override_sploit.pkl': 'builtins.eval',
};

describe('real hostile files', { skip: folder === undefined }, () => {
  const at = folder ?? '';
  const names = folder === undefined ? [] : readdirSync(folder).sort();

  it('are all in the tables', () => {
    assert.deepEqual([...Object.keys(VERDICTS), ...Object.keys(HARM)].sort(), names);
    assert.deepEqual(Object.keys(reference.hostile_picklescan).sort(), names);
  });

  for (const name of names) {
    it(name, async () => {
      const { verdict, globals } = await inspect(path.join(at, name));
      assert.deepEqual(globals.map((global) => global.name).sort(), reference.hostile_picklescan[name]);
      assert.equal(verdict, VERDICTS[name] ?? 'dangerous');
      const harm = HARM[name];
      if (harm !== undefined)
        assert.equal(globals.find((global) => global.name === harm)?.level, 'dangerous');
    });
  }
});

describe('nothing that is inspected runs', { skip: folder === undefined }, () => {
  const { folder: scratch, write } = temporaryFolder();

  it('starts no process, writes no file and opens no connection', () => {
    const home = path.join(scratch, 'home');
    mkdirSync(home);
    // Whoever connects or looks up a name is told; Node itself refuses processes, workers and writing.
    const watch = write(
      'watch.cjs',
      `for (const [name, keys] of [['net', ['connect', 'createConnection']], ['dns', ['lookup']], ['http', ['request']]])
         for (const key of keys) require(name)[key] = () => { console.error('CANARY ' + name); process.exit(99); };
       require('net').Socket.prototype.connect = () => { console.error('CANARY'); process.exit(99); };`,
    );
    const permission =
      Number(process.versions.node.split('.')[0]) < 23 ? '--experimental-permission' : '--permission';
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [
        permission,
        '--allow-fs-read=*',
        '--require',
        watch,
        path.join(__dirname, '../../cli.js'),
        'inspect',
        ...readdirSync(folder ?? '').map((name) => path.join(folder ?? '', name)),
      ],
      {
        cwd: home,
        env: { HOME: home, TMPDIR: home, PATH: process.env.PATH, LC_ALL: 'C.UTF-8' },
        encoding: 'utf8',
      },
    );
    assert.equal(status, 0, stderr);
    assert.doesNotMatch(stderr, /CANARY|ERR_ACCESS_DENIED/);
    assert.equal(stdout.trimEnd().split('\n').length, readdirSync(folder ?? '').length);
    assert.deepEqual(readdirSync(home), []);
  });

  it('and would be caught if it did', () => {
    const permission =
      Number(process.versions.node.split('.')[0]) < 23 ? '--experimental-permission' : '--permission';
    const script = write(
      'canary.cjs',
      `require('node:fs').writeFileSync(${JSON.stringify(path.join(scratch, 'x'))}, '')`,
    );
    const { status, stderr } = spawnSync(process.execPath, [permission, '--allow-fs-read=*', script], {
      encoding: 'utf8',
    });
    assert.notEqual(status, 0);
    assert.match(stderr, /ERR_ACCESS_DENIED/);
    writeFileSync(path.join(scratch, 'x'), '');
  });
});

describe('LZMA', () => {
  for (const { method, properties, size, sha256, packed } of reference.streams) {
    it(`${method}, properties ${properties}, as Python's lzma packed it`, () => {
      const input = Buffer.from(packed, 'base64');
      const bytes =
        method === 'lzma' ? decodeLzma(input, Uint8Array.of(properties), size) : decodeLzma2(input, size);
      assert.equal(createHash('sha256').update(bytes).digest('hex'), sha256);
    });
  }

  it('ends on any damage', () => {
    for (const { method, size, packed, properties } of reference.streams.slice(0, 2)) {
      for (let at = 0; at < 200; at++) {
        const input = Buffer.from(packed, 'base64');
        input[at] = (input[at] ?? 0) ^ 0x55;
        try {
          if (method === 'lzma')
            decodeLzma(input.subarray(0, input.length - (at % 7)), Uint8Array.of(properties), size);
          else decodeLzma2(input, size);
        } catch (error) {
          assert.equal(error instanceof Error && error.name, 'LzmaError');
        }
      }
    }
  });
});
