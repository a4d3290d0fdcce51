"""Writes inspection.json: the globals that pickles name, told by Python's own pickletools. Nothing is unpickled.

    python3 make_inspection.py ../../../shared/data > inspection.json

pickletools.genops only splits a pickle into opcodes. What STACK_GLOBAL takes is followed here by the stack effects that
pickletools declares, with a memo, and with the attributes that BUILD sets on a module. Archives are opened by Python's
zipfile, tarfile and lzma, or, where those refuse a flag that is a lie, by the length in the local header.
"""

import base64
import hashlib
import io
import json
import lzma
import pickletools
import struct
import sys
import zipfile
from pathlib import Path

MARK = object()


class Name(str):
    """module.name of a global, as a value on the stack."""


def opcodes(stream):
    """Opcodes up to the end of the pickle, or to where it breaks."""
    try:
        yield from pickletools.genops(stream)
    except Exception:  # pickletools raises ValueError, or what a broken argument makes int() and decode() raise
        return


def text_of(argument):
    return argument if isinstance(argument, str) else None


def globals_of(stream):
    stack, memo, named, attributes = [], {}, [], {}

    def name(module, attribute):
        full = Name(f"{module}.{attribute}")
        named.append(str(full))
        return attributes.get(full, full)

    def pop_mark():
        items = []
        while stack and stack[-1] is not MARK:
            items.append(stack.pop())
        if stack:
            stack.pop()
        return items[::-1]

    for opcode, argument, _ in opcodes(stream):
        kind = opcode.name
        if kind == "GLOBAL":
            module, attribute = argument.split(" ", 1)
            stack.append(name(module, attribute))
        elif kind == "INST":
            module, attribute = argument.split(" ", 1)
            pop_mark()
            name(module, attribute)
            stack.append(None)
        elif kind == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(name(module, attribute))
        elif kind in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[int(argument)] = stack[-1]
        elif kind == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif kind in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo.get(int(argument)))
        elif kind == "DUP":
            stack.append(stack[-1])
        elif kind == "EMPTY_DICT":
            stack.append({})
        elif kind == "SETITEM":
            value, key = stack.pop(), stack.pop()
            if isinstance(stack[-1], dict):
                stack[-1][key] = value
        elif kind == "BUILD":
            state = stack.pop()
            if isinstance(stack[-1], Name) and isinstance(state, dict):
                attributes.update({Name(f"{stack[-1]}.{key}"): value for key, value in state.items()})
        elif kind == "MARK":
            stack.append(MARK)
        elif kind == "POP_MARK":
            pop_mark()
        elif pickletools.stackslice in opcode.stack_before:
            pop_mark()
            # What is below the mark (a list that is extended) goes and comes back.
            below = opcode.stack_before.index(pickletools.markobject)
            stack[len(stack) - below :] = [None] * len(opcode.stack_after)
        elif kind not in ("PROTO", "FRAME", "STOP"):
            taken = len(opcode.stack_before)
            stack[len(stack) - taken :] = []
            stack.extend([text_of(argument)] * len(opcode.stack_after))
    return named


def pickles_in(data):
    """Every pickle of a file, one after another, of whatever is in it."""
    if data[:2] == b"PK":
        for entry in zipfile.ZipFile(io.BytesIO(data)).infolist():
            at = entry.header_offset
            name_length, extra_length = struct.unpack_from("<HH", data, at + 26)
            start = at + 30 + name_length + extra_length
            assert entry.compress_type == zipfile.ZIP_STORED
            yield from pickles_in(data[start : start + entry.compress_size])
    elif data[:2] == b"7z":
        # The first packed stream of the archive (offset 32), as its header, decoded with lzma, says.
        size = struct.unpack_from("<Q", data, 12)[0]
        packed = data[32 : 32 + size]
        filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 24}]
        yield io.BytesIO(lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters).decompress(packed))
    elif data[:4] != b"\x89PNG":
        stream = io.BytesIO(data)
        while stream.tell() < len(data):
            start = stream.tell()
            yield stream
            # Storages follow the fifth pickle of a PyTorch file.
            end = stream.tell()
            if end == start or data[end - 1 : end] != b"." or data[end : end + 1] != b"\x80":
                break


def streams():
    """Data that leads a compressor through literals, short and long matches, and repeated distances."""
    numbers = bytes((i * i // 8 ^ i * 7) & 0xFF for i in range(700))
    words = b"".join(b"layer%d.weight layer%d.bias " % (i, i % 3) for i in range(40))
    data = numbers + words + numbers[::-1] + words + bytes(300) + numbers
    for lc, lp, pb in ((3, 0, 2), (0, 2, 0), (4, 0, 4), (1, 3, 1)):
        settings = {"lc": lc, "lp": lp, "pb": pb, "dict_size": 1 << 16}
        for name, kind in (("lzma", lzma.FILTER_LZMA1), ("lzma2", lzma.FILTER_LZMA2)):
            packed = lzma.compress(data, format=lzma.FORMAT_RAW, filters=[{"id": kind, **settings}])
            yield {
                "method": name,
                "properties": (pb * 5 + lp) * 9 + lc,
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "packed": base64.b64encode(packed).decode(),
            }


def main(folder):
    files = {}
    for path in sorted((folder / "hostile_picklescan" / "data").iterdir()):
        named = set()
        for stream in pickles_in(path.read_bytes()):
            named.update(globals_of(stream))
        files[path.name] = sorted(named)
    json.dump(
        {
            "about": "Globals named by pickles, told by pickletools.genops; see make_inspection.py.",
            "python": sys.version.split()[0],
            "hostile_picklescan": files,
            "streams": list(streams()),
        },
        sys.stdout,
        indent=1,
    )
    print()


main(Path(sys.argv[1]))
