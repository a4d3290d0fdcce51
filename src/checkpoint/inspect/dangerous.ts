/**
 * What does harm when a pickle names it: our own table, by what it can do. Python imports every global as soon as a
 * pickle names it and calls it with whatever the pickle says, so being named is enough.
 *
 * `packages`: the package and everything in it. `names`: these alone. Old names (Python 2, private twins written in C)
 * stand beside the new ones: Python still maps many of them.
 */
export interface Family {
  /** Continues "it …". */
  readonly reason: string;
  readonly level: 'unknown' | 'dangerous';
  readonly packages?: string;
  readonly names?: string;
}

const BUILTINS =
  'eval exec execfile compile __import__ open file getattr setattr delattr hasattr globals locals vars apply input ' +
  'raw_input breakpoint reload exit quit help __build_class__ __loader__ __spec__';

const OPERATORS = 'attrgetter methodcaller call setitem delitem';

/** `a b` of module `m`: `m.a m.b`. */
function of(modules: string, names: string): string {
  return modules
    .split(' ')
    .flatMap((module) => names.split(' ').map((name) => `${module}.${name}`))
    .join(' ');
}

export const FAMILIES: readonly Family[] = [
  {
    level: 'dangerous',
    reason: 'runs code, opens files or reaches any attribute by name',
    names: of('builtins __builtin__ __builtins__', BUILTINS),
  },
  {
    level: 'dangerous',
    reason: 'runs commands, starts programs or changes files of the system',
    packages:
      'os posix nt os2 ce riscos subprocess _posixsubprocess _winapi popen2 pty pipes shutil platform signal ' +
      'multiprocessing concurrent _multiprocessing winreg _winreg msvcrt fcntl syslog pwd grp spwd posixpath.os ' +
      'ntpath.os psutil pexpect plumbum fabric invoke paramiko docker _thread thread',
    names:
      `${of('commands', 'getoutput getstatusoutput getstatus mk2arg mkarg')} threading.Thread threading.Timer ` +
      'uuid._get_command_stdout uuid._popen ctypes.util.find_library nturl2path.os',
  },
  {
    level: 'dangerous',
    reason: 'imports modules or runs code from them',
    packages:
      'importlib _frozen_importlib _frozen_importlib_external imp pkgutil runpy zipimport zipapp modulefinder ' +
      'compileall py_compile sitecustomize usercustomize',
    names: of('site', 'addpackage addsitedir execsitecustomize execusercustomize main'),
  },
  {
    level: 'dangerous',
    reason: 'reaches the state of the Python process itself',
    packages:
      'sys gc inspect atexit faulthandler _testcapi _testinternalcapi _interpreters _xxsubinterpreters',
    names:
      'weakref.finalize copyreg.add_extension copyreg.pickle copy_reg.add_extension typing.get_type_hints',
  },
  {
    level: 'dangerous',
    reason: 'runs code that it is given as text, as a debugger, profiler, test runner or shell does',
    packages:
      'codeop pdb bdb cProfile hotshot _lsprof timeit doctest unittest test.support test.regrtest pytest _pytest nose ' +
      'pydoc idlelib lib2to3 IPython ipykernel jupyter_client rlcompleter cgitb tkinter Tkinter _tkinter turtle ' +
      'antigravity',
    // Also the names of many projects' own files: what else is in those is unknown, not dangerous.
    names:
      `${of('code', 'InteractiveInterpreter InteractiveConsole interact compile_command')} ` +
      `${of('profile', 'run runctx Profile main')} ${of('trace', 'Trace main')} ` +
      'dataclasses.make_dataclass dataclasses._create_fn logging.config.listen logging.config.dictConfig',
  },
  {
    level: 'dangerous',
    reason: 'builds functions from code',
    names: `${of('types', 'FunctionType LambdaType CodeType ModuleType new_class')} ${of('new', 'function code module')}`,
    packages: 'marshal codegen',
  },
  {
    level: 'dangerous',
    reason: 'reaches any attribute or method by name',
    names: of('operator _operator', OPERATORS),
  },
  {
    level: 'dangerous',
    reason: 'loads another pickle, whatever that holds',
    packages: 'pickle _pickle cPickle dill cloudpickle ray.cloudpickle jsonpickle shelve dbm anydbm yaml',
    names:
      'torch.load torch.serialization.load torch.serialization._load torch.serialization._legacy_load ' +
      'torch.jit.load torch.jit._serialization.load torch.distributed._deserialize joblib.load ' +
      'joblib.numpy_pickle.load joblib.numpy_pickle_compat.load numpy.load numpy.lib.npyio.load ' +
      'numpy.lib._npyio_impl.load numpy.core.multiarray._load_from_filelike pandas.read_pickle ' +
      'pandas.io.pickle.read_pickle pandas.compat.pickle_compat.load keras.models.load_model ' +
      'tensorflow.keras.models.load_model',
  },
  {
    level: 'dangerous',
    reason: 'calls into libraries of machine code',
    packages: 'ctypes _ctypes cffi _cffi_backend numpy.ctypeslib torch.utils.cpp_extension mmap',
    names:
      'torch.ops.load_library torch.classes.load_library torch._ops.load_library torch._classes.load_library ' +
      'torch._ops._Ops.load_library tensorflow.load_library tensorflow.load_op_library',
  },
  {
    level: 'dangerous',
    reason: 'reaches the network',
    packages:
      'socket _socket socketserver SocketServer ssl _ssl select asyncore asynchat asyncio http httplib ' +
      'BaseHTTPServer SimpleHTTPServer CGIHTTPServer urllib.request urllib.robotparser urllib2 urllib3 requests ' +
      'aiohttp httpx httpcore ftplib smtplib smtpd poplib imaplib nntplib telnetlib xmlrpc xmlrpclib wsgiref ' +
      'webbrowser websockets websocket twisted tornado flask werkzeug fastapi boto3 botocore huggingface_hub ' +
      'torch.hub torch.utils.model_zoo torch.distributed.rpc torchvision.datasets.utils gdown wget',
    names: 'urllib.urlopen urllib.urlretrieve urllib.URLopener urllib.FancyURLopener',
  },
  {
    level: 'dangerous',
    reason: 'installs or builds software',
    packages:
      'pip pip._internal _pip ensurepip venv virtualenv setuptools distutils pkg_resources easy_install conda ' +
      'numpy.distutils numpy.f2py torch.utils.hipify',
  },
  {
    level: 'dangerous',
    reason: 'reads or writes files',
    packages:
      '_pyio tempfile fileinput linecache zipfile tarfile sqlite3 _sqlite3 glob bz2 lzma gzip ' +
      'logging.handlers logging.config tokenize',
    names:
      `${of('io _io', 'open open_code FileIO OpenWrapper')} ` +
      'codecs.open codecs.EncodedFile logging.FileHandler numpy.fromfile numpy.memmap numpy.core.memmap.memmap ' +
      'numpy.save numpy.savez numpy.savetxt numpy.loadtxt numpy.genfromtxt numpy.fromregex numpy.DataSource ' +
      'torch.save torch.from_file torch.serialization.save torch.storage.UntypedStorage.from_file pandas.eval',
  },
  {
    level: 'dangerous',
    reason: 'runs programs or code inside a library',
    packages:
      'numpy.testing numpy._pytesttester torch._inductor torch._dynamo torch._export torch._functorch.compile_utils ' +
      'torch.testing torch.utils.bottleneck torch.utils.collect_env torch.utils._config_module torch.package ' +
      'torch.multiprocessing torch.distributed.run torch.distributed.launch torch.distributed.elastic torch.compiler ' +
      'torch.utils.data.datapipes.utils torch.jit.unsupported_tensor_ops scipy.weave pandas.core.computation ' +
      'numexpr sympy.parsing tensorflow.python.ops.script_ops tensorflow.io tensorflow.compat.v1.gfile ' +
      'tensorflow.python.lib.io dask.distributed',
    names:
      'torch.fx.graph_module.reduce_graph_module torch.fx.graph_module.reduce_package_graph_module ' +
      'torch.fx.graph_module.reduce_deploy_graph_module torch.fx.graph_module._exec_with_source ' +
      'torch.fx.graph_module._forward_from_src torch.fx.experimental.symbolic_shapes.ShapeEnv ' +
      'torch.compile sympy.sympify sympy.core.sympify.sympify numpy.vectorize.eval tensorflow.py_function ' +
      'tensorflow.numpy_function',
  },
  {
    level: 'unknown',
    reason: 'calls what it is given: what that is stands beside it',
    names:
      `${of('functools _functools', 'partial partialmethod reduce')} ${of('operator _operator', 'itemgetter')} ` +
      `${of('types', 'MethodType')} ${of('builtins __builtin__', 'map filter')} itertools.starmap ` +
      'itertools.accumulate string.Formatter numpy.vectorize numpy.apply_along_axis',
  },
];

/**
 * Modules that do harm wherever they are reached from: `torch.os.system` is `os.system`, since libraries import them.
 * Names that packages also use for files of their own (`code`, `test`, `http`) are left out.
 */
export const REACHED: ReadonlySet<string> = new Set(
  (
    'os posix nt subprocess sys builtins __builtin__ __builtins__ importlib imp runpy shutil ctypes socket ' +
    'pty'
  ).split(' '),
);

/** Attributes that lead from any object to everything else. */
export const INTERNALS: ReadonlySet<string> = new Set(
  (
    '__globals__ __builtins__ __subclasses__ __getattribute__ __import__ __code__ __dict__ __mro__ __base__ ' +
    '__bases__ __loader__ __spec__ __closure__ __func__ __self__ __reduce__ __reduce_ex__ __setattr__ __delattr__ ' +
    '__init_subclass__ __class__ f_globals gi_frame tb_frame'
  ).split(' '),
);
