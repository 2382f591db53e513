# SPDX-License-Identifier: GPL-3.0-or-later
"""A friendly and a hostile program under the student's filter: what the kernel answers to each call."""

import hashlib
import re
import shutil

import pytest

from klab.errors import KlabError
from klab.testing import expect

EPERM, EFAULT, EACCES, ENOENT, ENOSYS = "= -1", "= -14", "= -13", "= -2", "= -38"
SIGSYS = 128 + 31
X32 = 0x40000000
O_WRONLY, O_RDWR, O_CREAT = 1, 2, 0o100
SHARED, PRIVATE, SHARED_VALIDATE = 1, 2, 3
# Calls of x86-64 that no entry of the table names; harmless where they get through.
OTHERS = {
    "writev": 20, "pipe": 22, "dup": 32, "sendfile": 40, "socket": 41, "fcntl": 72, "mkdir": 83, "prctl": 157,
    "eventfd2": 290, "inotify_init1": 294, "memfd_create": 319, "execveat": 322, "process_vm_writev": 311,
    "pwrite64": 18, "open_by_handle_at": 304, "userfaultfd": 323,
}  # fmt: skip
GETPID, PTRACE, IO_URING_SETUP, OPENAT, OPENAT2, CLONE3, UNAME = 39, 101, 425, 257, 437, 435, 63


@pytest.fixture(scope="module")
def programs(lab):
    """The student's sandbox, and the hostile program, as files for a guest."""
    sandbox = lab.make().file("sandbox")
    folder = lab.builds / "hostile"
    shutil.copytree(lab.spec.folder / "grader", folder)
    said = lab.run(["gcc", "-O2", "-static", "-no-pie", "-o", "hostile", "hostile.c"], folder=folder)
    if said.code:
        raise KlabError(f"the grader's own program does not build: {said.err}", step="grader")
    return {"klab/sandbox": sandbox, "klab/hostile": folder / "hostile"}


@pytest.fixture(scope="module")
def drawn(lab):
    """What this seed has drawn."""
    return {
        "words": f"friendly {lab.random.getrandbits(64):x}\n",
        "secret": f"secret {lab.random.getrandbits(64):x}",
        "file": f"f{lab.random.getrandbits(32):x}",
        "others": lab.random.sample(sorted(OTHERS), 6),
        "x32": lab.random.choice([0, 1, 39, 257]),
    }


@pytest.fixture(scope="module")
def answers(guest, programs, drawn):
    """One guest, one long story; {name: (exit status, what was said)}."""
    file = drawn["file"]
    others = "\n".join(f"try other-{name} call {OTHERS[name]}" for name in drawn["others"])
    script = f"""
cd /klab; box=/tmp/box; leak=/tmp/leak; umask 022
mkdir -m 700 $box; printf '%s' '{drawn["words"]}' >$box/{file}; chmod 600 $box/{file}
echo '{drawn["secret"]}' >/klab/secret
ln -s /klab/secret $box/absolute; ln -s ../../klab/secret $box/relative
say() {{ name=$1; shift; out=$(timeout 20 "$@" 2>&1 3<>$leak)
  echo "$name: [$?] $(echo "$out" | tr '\\n' ' ')"; }}
try() {{ name=$1; shift; echo untouched >$leak; chmod 666 $leak
  say $name ./sandbox $box /klab/hostile "$@"; echo "leak-$name: [0] $(tr '\\n' ' ' <$leak)"; }}
say friendly ./sandbox $box /bin/busybox sha256sum /{file}
say status ./sandbox $box /bin/busybox test -z full
try pid call {GETPID}
try stdout write 1 hello
try stderr write 2 hello
try write write 3 leaked
try dup dup leaked
for flags in {SHARED} {PRIVATE} {SHARED_VALIDATE}; do try map-$flags map leaked $flags; done
try fork fork
try clone call 56 17
{others}
try openat2 call {OPENAT2}
try clone3 call {CLONE3}
try io_uring call {IO_URING_SETUP}
try ptrace call {PTRACE}
try x32 call {X32 | drawn["x32"]}
try minus-one call -1
try i386 i386 /klab/secret
try read open /{file} 0
try dots open /../{file} 0
try real open /klab/secret 0
try up open ../../klab/secret 0
try absolute open /absolute 0
try relative open /relative 0
for flags in {O_WRONLY} {O_RDWR} {O_CREAT}; do try open-$flags open /{file} $flags; done
try pointer call {OPENAT} -100 0
try exec exec /klab/hostile call {OTHERS[drawn["others"][0]]}
dmesg -c >/dev/null; try uname call {UNAME} 0; sleep 1
echo "logged: [0] $(dmesg | grep -c 'type=1326.* syscall={UNAME} ')"
"""
    ran = guest(script, files=programs)
    said = re.findall(r"^([\w-]+): \[(\d+)\] ?(.*?) *$", ran.output.decode(errors="replace"), re.M)
    return {name: (int(status), text) for name, status, text in said}


def seen(answers, name):
    """What happened to one call, in words."""
    status, text = answers.get(name, (None, "(the guest did not get that far)"))
    return text if not status else f"{text} (exit status {status})".lstrip()


def told(answers, name, words, what, look):
    """The program lived, and the call called `name` returned `words`."""
    status, text = answers.get(name, (None, ""))
    fine = status == 0 and re.fullmatch(words, text)
    expect.holds(bool(fine), what, observed=seen(answers, name), expected=words.replace("\\", ""), look=look)


def killed(answers, name, what, look):
    """The call called `name` was the last one of its process."""
    status, _ = answers.get(name, (None, ""))
    expect.holds(status == SIGSYS, what, observed=seen(answers, name), expected="killed by SIGSYS", look=look)


def untouched(answers, name, what):
    """The file behind descriptor 3 is as it was."""
    expect.equal(
        answers.get(f"leak-{name}", (0, ""))[1], "untouched", what, look="the allow list: what else writes?"
    )


def test_a_friendly_program_works(answers, drawn):
    total = hashlib.sha256(drawn["words"].encode()).hexdigest()
    told(answers, "friendly", rf"{total}  /{drawn['file']}",
         "busybox sha256sum reads a file that only the supervisor may read",
         "strace -f ./sandbox ...; answer(): who opens the file?")  # fmt: skip
    expect.equal(answers.get("status", (0, ""))[0], 1, "a program's own exit status comes through",
                 look="exit, exit_group")  # fmt: skip


def test_what_is_allowed(answers):
    told(answers, "pid", r"= [1-9]\d*", "getpid is allowed", "the allow list")
    told(answers, "stdout", r"hello= 5", "write to descriptor 1 is allowed", "write: args[0]")
    told(answers, "stderr", r"hello= 5", "write to descriptor 2 is allowed", "write: args[0]")
    told(answers, f"map-{PRIVATE}", "= 0", "a private mapping is allowed", "mmap: args[3]")


def test_i386_calls_kill(answers):
    killed(
        answers, "i386", "open of i386 by int 0x80 kills the process", "the field arch of struct seccomp_data"
    )


def test_x32_numbers_kill(answers, drawn):
    killed(answers, "x32", f"x32 number {drawn['x32']} kills the process", "bit 30 of the number")
    killed(answers, "minus-one", "number -1 has bit 30 set, too", "bit 30 of the number")


def test_calls_that_kill(answers):
    killed(answers, "io_uring", "io_uring_setup kills the process", "the table in README.md")
    killed(answers, "ptrace", "ptrace kills the process", "the table in README.md")


def test_calls_with_arguments_in_memory(answers):
    told(answers, "openat2", ENOSYS, "openat2 is ENOSYS", "the table in README.md")
    told(answers, "clone3", ENOSYS, "clone3 is ENOSYS", "the table in README.md")


def test_descriptor_3_cannot_be_written(answers):
    told(answers, "write", EPERM, "write to descriptor 3 is EPERM", "write: args[0]")
    untouched(answers, "write", "nothing is written into the file behind descriptor 3")


def test_descriptors_cannot_be_copied(answers):
    untouched(answers, "dup", "dup2(3, 1) and write(1) do not reach the file behind descriptor 3")
    told(answers, "dup", rf"{EPERM}.*", "dup2 is EPERM", "the allow list")


def test_files_cannot_be_mapped_shared(answers):
    for flags, name in ((SHARED, "MAP_SHARED"), (SHARED_VALIDATE, "MAP_SHARED_VALIDATE")):
        untouched(answers, f"map-{flags}", f"{name} of descriptor 3 does not reach its file")
        told(answers, f"map-{flags}", EPERM, f"mmap with {name} is EPERM", "mmap: args[3] & MAP_TYPE")


def test_everything_else_is_eperm(answers, drawn):
    for name in ("fork", "clone", *(f"other-{name}" for name in drawn["others"])):
        told(answers, name, EPERM, f"{name.removeprefix('other-')} is EPERM", "the last return of the filter")


def test_the_filter_outlives_execve(answers):
    told(answers, "exec", EPERM, "after execve the same filter holds", "SECCOMP_SET_MODE_FILTER")


def test_uname_is_allowed_and_logged(answers):
    told(answers, "uname", EFAULT, "uname(NULL) reaches the kernel, which says EFAULT", "SECCOMP_RET_LOG")
    expect.equal(
        seen(answers, "logged"),
        "1",
        "one record of type 1326 in the log for it",
        look="SECCOMP_RET_LOG; dmesg",
    )


def test_files_below_the_folder_can_be_read(answers, drawn):
    told(answers, "read", rf"= 0 {drawn['words'].strip()}", "a file of the folder is read", "answer()")
    told(answers, "dots", rf"= 0 {drawn['words'].strip()}", "the folder is its own parent, as / is",
         "RESOLVE_IN_ROOT")  # fmt: skip


@pytest.mark.parametrize("way", ["real", "up", "absolute", "relative"])
def test_no_way_leads_out(answers, drawn, way):
    said = seen(answers, way)
    expect.holds(drawn["secret"] not in said, f"the secret outside is not read ({way})",
                 observed=said, expected="= -2 (ENOENT)", look="openat2(2): RESOLVE_IN_ROOT")  # fmt: skip
    told(answers, way, ENOENT, f"what is not in the folder does not exist ({way})",
         "answer(): the error of the opening")  # fmt: skip


def test_files_can_only_be_read(answers):
    for flags, name in ((O_WRONLY, "O_WRONLY"), (O_RDWR, "O_RDWR"), (O_CREAT, "O_CREAT")):
        told(answers, f"open-{flags}", EACCES, f"openat with {name} is EACCES", "answer(): args[2]")


def test_a_bad_pointer(answers):
    told(answers, "pointer", EFAULT, "openat(AT_FDCWD, NULL) is EFAULT", "answer(): reading /proc/PID/mem")
