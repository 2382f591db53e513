# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actors do, drawn by lot."""

TOP = "/tmp/day"  # noqa: S108 - in the guest
# A quote, a backslash, an end of line, and a byte that is no character.
ODD = "odd\\x22\\x5c\\x0a\\xff"
FIFOS, WAITING = 64, 24
# More than the ring of the monitor that is stopped has room for, however small a record is.
MANY = (900, 1100)
LAZY = f"{TOP}/there is nothing of this name"


class Plans:
    """One day. texts: {actor: its plan}; files: what lies there before."""

    def __init__(self, random, *, whole):
        words = [f"{word}-{random.randrange(1000):03}" for word in ("home", "left", "right", "low", "new")]
        self.inside, left, right, low, new = words
        self.directory = f"{TOP}/{self.inside}"
        self.limit = random.randrange(40, 80)
        self.calls = 20000
        mounted = f"{self.directory}/deep/mounted/again"
        self.made = [f"{self.directory}/first", f"{self.directory}/{left}/{ODD}", f"{mounted}/{low}",
                     f"{self.directory}-2/{right}", f"{self.directory}/deep/{left}"]  # fmt: skip
        files = [path.encode().decode("unicode_escape").encode("latin-1") for path in self.made]
        names = [path.decode("latin-1") for path in files]
        self.storm = names[4]
        hows = ["open", "openat", "openat2"]
        steps = [f"{random.choice(hows)} {digits(name)}" for name in names for _ in range(2)]
        steps += [f"{how} {digits(names[0])}" for how in hows]
        steps += [
            f"creat {digits(f'{mounted}/{new}')}",
            f"openat {digits(f'{self.directory}-2/link')}",
            f"openat {digits(f'{TOP}/other/{low}')}",
            f"openat {digits(f'{self.directory}/deep/../{left}')}",
            f"open {digits(f'{self.directory}/{new}/missing')}",
            f"creat {digits(self.directory)}",
            f"openat {digits('')}",
            f"at {digits(f'{self.directory}/deep')} {digits(left)}",
            f"fork 2\nopen {digits(names[0])}\nopenat {digits(f'{TOP}/{new}')}",
        ]
        random.shuffle(steps)
        # The name in memory comes first, when nobody has looked at that memory.
        steps = [f"lazy {digits(f'{TOP}/lazy')}", *steps]
        steps += [f"cd {digits(f'{self.directory}/deep')}", f"openat2 {digits(left)}", f"open {digits('.')}"]
        few = [f"open {digits(random.choice(names))}" for _ in range(6)]
        beside = [f"openat {digits(random.choice(names))}" for _ in range(random.randrange(5, 9))]
        self.texts = {"first": [*steps, "stop"]}
        if not whole:
            return
        self.texts["first"] = [
            *steps, f"fifos {random.randrange(WAITING, FIFOS)} {digits(f'{TOP}/fifos')}", "stop",
            f"storm {random.randrange(*MANY)} {digits(names[3])}", *few,
            f"storm {random.randrange(*MANY)} {digits(names[4])}", "stop",
        ]  # fmt: skip
        self.texts["second"] = [*beside, f"fork 1\nopen {digits(names[2])}", "stop"]
        self.texts["third"] = [
            *beside, "stop", f"storm {random.randrange(200, 400)} {digits(names[1])}", "stop",
        ]  # fmt: skip
        self.texts["fourth"] = [
            *beside, "stop", f"calls {self.calls}", "stop",
            f"storm {random.randrange(*MANY)} {digits(names[0])}", "stop",
        ]  # fmt: skip

    def laid(self):
        """The files of a guest."""
        found = {f"klab/plan.{name}": "".join(f"{s}\n" for s in steps) for name, steps in self.texts.items()}
        found["klab/files"] = "".join(f"{path}\n" for path in self.made)
        found["klab/lazy"] = LAZY.encode().ljust(4096, b"\0")
        return found


def digits(name):
    return name.encode("latin-1").hex()
