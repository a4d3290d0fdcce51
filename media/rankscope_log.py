"""Tells Rankscope how a training goes. One line in your script:

    from rankscope_log import log, should_stop

    for step, batch in enumerate(batches):
        loss = train(batch)
        log(step=step, steps=len(batches), loss=loss, lr=schedule(step))
        if step % 1000 == 0:
            log(step=step, val_accuracy=evaluate())
        if should_stop():
            save(os.environ["RANKSCOPE_CHECKPOINT"])
            break

Rankscope puts this file on Python's path by itself. A copy beside your script makes it run without Rankscope too: it then
prints what it is told. Needs nothing but Python 3.8.

The names that Rankscope knows: step, epoch, steps (of the whole training), loss, lr, samples_per_second; accuracy, psnr,
iou, perplexity, f1, auc, bleu, error, mse, rmse, mae for the number that the run is judged by, with val_ before it where
training has one of the same name; val_loss. Other numbers are kept beside them. `message="…"` is shown to people.

Under torchrun, only the process of rank 0 reports.
"""

import json
import os
import signal
import threading

__all__ = ["log", "should_stop"]

_stop = threading.Event()
_listens = False


def log(**values):
    """Reports numbers by name; tensors and arrays of one element are numbers. Never fails a training."""
    if _rank() != 0:
        return
    report = {name: _plain(value) for name, value in values.items()}
    line = json.dumps({name: value for name, value in report.items() if value is not None}) + "\n"
    path = os.environ.get("RANKSCOPE_METRICS")
    if not path:
        print(line, end="", flush=True)
        return
    try:
        # One write to the end of the file: lines of several processes do not run into each other.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(descriptor, line.encode("utf-8"))
        finally:
            os.close(descriptor)
    except OSError as error:
        print("rankscope_log: cannot report:", error, flush=True)


def should_stop():
    """Whether you should save and end: somebody asked, or time on the cluster is up. Ask often; call it from the main
    thread the first time, or the signal that a cluster sends is not heard.

    Processes of one training may hear of it a step apart: where they wait for each other, let rank 0 decide for all.
    """
    _listen()
    if _stop.is_set():
        return True
    folder = os.environ.get("RANKSCOPE_RUN")
    if folder and os.path.exists(os.path.join(folder, "stop")):
        _stop.set()
    elif not _is_watched():
        # Nobody reads the reports any more, and the run may have been started again somewhere else.
        _stop.set()
    return _stop.is_set()


def _listen():
    """From the first question on, SIGTERM is a wish: whoever asks will end. A handler of the script's own stays."""
    global _listens
    if _listens:
        return
    _listens = True
    if not os.environ.get("RANKSCOPE_RUN"):
        return
    try:
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, lambda *_: _stop.set())
    except ValueError:
        # Not the main thread.
        _listens = False


def _is_watched():
    runner = os.environ.get("RANKSCOPE_RUNNER", "")
    if os.name == "nt" or not runner.isdigit():
        return True
    try:
        os.kill(int(runner), 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _rank():
    try:
        return int(os.environ.get("RANK") or 0)
    except ValueError:
        return 0


def _plain(value):
    """A number, a text, or None for what is neither."""
    if isinstance(value, (bool, int, float, str)):
        return value
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return None
