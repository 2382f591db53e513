# SPDX-License-Identifier: GPL-3.0-or-later
"""Two modules in every order: what the kernel answers, and what is left behind."""

import re

import pytest

from klab.testing import expect

# Errors as busybox's insmod and rmmod print them (strerror).
NO_SPACE, BUSY, INVALID, NO_MEMORY = (
    "No space left on device",
    "Resource temporarily unavailable",
    "Invalid argument",
    "Cannot allocate memory",
)
LEFT = "ls -d /dev/lifecore /proc/lifecore /sys/module/lifecore /sys/module/lifeuser 2>/dev/null"


@pytest.fixture(scope="module")
def modules(lab):
    """The student's two modules, as files for a guest."""
    built = lab.make()
    return {f"klab/{name}": built.folder / name for name in ("lifecore.ko", "lifeuser.ko")}


@pytest.fixture(scope="module")
def answers(guest, lab, modules):
    """One guest, one long story; each line of the answer is `name: text`."""
    limit = lab.random.randint(3, 100)
    take = lab.random.randint(1, limit - 1)
    script = f"""
cd /klab; say() {{ name=$1; shift; echo "$name: $("$@" 2>&1 | tr '\\n' ' ')"; }}
say user-alone insmod lifeuser.ko
for step in 1 2 3; do
  say failed-$step insmod lifecore.ko fail_at=$step
  say left-$step sh -c '{LEFT}'
done
for bad in 0 -1 101 x; do say limit-$bad insmod lifecore.ko limit=$bad; rmmod lifecore 2>/dev/null; done
say core insmod lifecore.ko limit={limit}
say there sh -c '{LEFT}'
say empty cat /dev/lifecore
for bad in 0 101; do say sysfs-$bad sh -c "echo $bad >/sys/module/lifecore/parameters/limit"; done
say sysfs-good sh -c 'echo {limit} >/sys/module/lifecore/parameters/limit'
say parameter cat /sys/module/lifecore/parameters/limit
say user insmod lifeuser.ko take={take}
say taken cat /dev/lifecore
say holders ls /sys/module/lifecore/holders
say core-used rmmod lifecore
say user-gone rmmod lifeuser
say given-back cat /dev/lifecore
say too-many insmod lifeuser.ko take={limit + 1}
say none-kept cat /dev/lifecore
say again insmod lifeuser.ko take={take}
sleep 1000 </dev/lifecore & holder=$!
rmmod lifeuser 2>/dev/null
say open rmmod lifecore
say count cat /sys/module/lifecore/refcnt
kill $holder; wait $holder 2>/dev/null
say closed rmmod lifecore
say all-gone sh -c '{LEFT}'
"""
    ran = guest(script, files=modules)
    said = dict(re.findall(r"^([\w-]+): ?(.*?) *$", ran.output.decode(errors="replace"), re.M))
    return {"limit": limit, "take": take, **said}


def told(answers, name, words, what, look):
    """The answer called `name` holds `words`; empty words mean that it must be empty."""
    given = answers.get(name, "(the guest did not get that far)")
    fine = words in given if words else given == ""
    expect.holds(fine, what, observed=given, expected=words or "no error", look=look)


def test_user_needs_core(answers):
    told(answers, "user-alone", "nknown symbol", "lifeuser loads although lifecore is not there",
         "EXPORT_SYMBOL_GPL in lifecore.c; calls of lifecore_take in lifeuser.c")  # fmt: skip


@pytest.mark.parametrize("step", [1, 2, 3])
def test_init_fails_without_a_trace(answers, step):
    told(answers, f"failed-{step}", NO_MEMORY, f"init must fail with ENOMEM when step {step} does",
         "lifecore_init: trouble()")  # fmt: skip
    told(answers, f"left-{step}", "", f"something is left when step {step} of init fails",
         "lifecore_init: the undoing below its steps")  # fmt: skip


@pytest.mark.parametrize("value", ["0", "-1", "101", "x"])
def test_bad_limits_are_refused_at_load(answers, value):
    told(answers, f"limit-{value}", INVALID, f"limit={value} must be refused with EINVAL",
         "module_param_cb; dmesg")  # fmt: skip


def test_a_good_limit_loads(answers):
    told(answers, "core", "", f"limit={answers['limit']} must load", "lifecore_init; dmesg")
    told(answers, "there", "/dev/lifecore /proc/lifecore /sys/module/lifecore",
         "device, /proc entry and module are there", "lifecore_init")  # fmt: skip


def test_limits_through_sysfs(answers):
    for bad in ("0", "101"):
        told(answers, f"sysfs-{bad}", "nvalid argument", f"writing {bad} to limit in sysfs must give EINVAL",
             "struct kernel_param_ops: its set is called for writes, too")  # fmt: skip
    told(answers, "sysfs-good", "", "a good limit can be written", "the mode of the parameter")
    told(answers, "parameter", str(answers["limit"]), "the limit reads as it was set", "kernel_param_ops")


def test_units_are_taken_and_given_back(answers):
    limit, take = answers["limit"], answers["take"]
    told(answers, "empty", f"0 of {limit}", "nothing is taken at first", "lifecore_read")
    told(answers, "user", "", f"take={take} must load", "lifeuser_init")
    told(answers, "taken", f"{take} of {limit}", f"{take} units are taken", "lifecore_take")
    told(answers, "given-back", f"0 of {limit}", "the units come back when lifeuser goes", "lifeuser_exit")


def test_all_or_none(answers):
    told(answers, "too-many", NO_SPACE, "more than there are: ENOSPC", "lifecore_take; lifeuser_init")
    told(answers, "none-kept", f"0 of {answers['limit']}", "a failed load keeps no unit", "lifeuser_init")


def test_the_stack_holds(answers):
    told(answers, "holders", "lifeuser", "lifeuser is a holder of lifecore", "/sys/module/lifecore/holders")
    told(answers, "core-used", BUSY, "lifecore must not go while lifeuser stands on it", "lsmod: Used by")
    told(answers, "user-gone", "", "lifeuser goes", "lifeuser_exit")


def test_an_open_file_holds_the_module(answers):
    told(answers, "again", "", "lifeuser loads once more", "lifeuser_init")
    told(answers, "open", BUSY, "lifecore must not go while /dev/lifecore is open",
         "struct file_operations: who owns it?")  # fmt: skip
    told(answers, "count", "1", "the open file is counted", "/sys/module/lifecore/refcnt")


def test_nothing_is_left(answers):
    told(answers, "closed", "", "lifecore goes when nobody needs it", "lifecore_exit")
    told(answers, "all-gone", "", "nothing is left in /dev, /proc and /sys/module", "lifecore_exit")
