# SPDX-License-Identifier: MIT
"""The machines that the benchmark compares: how each is started on the same guest.

Each is a class with a `name`, `missing()` (why it cannot run here, or None) and
`start(guest, append)`: a Popen whose console is read from `.console`, a file
descriptor.  `guest` is a dictionary: "kernel", "initrd" and "tree", the directory the
initrd was made of.  All have 512 MiB, one processor, and the console on the first serial port.
"""
import os
import pty
import shutil
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MIB = 512
# For every guest: what costs time in the guest and has nothing to do with the machine.
APPEND = "console=ttyS0 quiet mitigations=off nokaslr "


class Machine:
    """One that boots the kernel directly and has its console on standard output."""

    name = ""
    program = ""
    boots = True                # has a boot, and a process of its own, to be measured

    def __init__(self, program=None):
        self.program = program or self.program
        self.console = -1

    def missing(self):
        return None if shutil.which(self.program) else "%s is not installed" % self.program

    def command(self, guest, append):
        raise NotImplementedError

    def start(self, guest, append, errors):
        p = subprocess.Popen(self.command(guest, APPEND + append), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=errors, start_new_session=True)
        self.console = p.stdout.fileno()
        return p

    def clean(self):
        pass


class Trapline(Machine):
    """trapline, translating."""

    name = "trapline"
    program = ROOT + "/build/release/trapline"
    engine = "jit"
    options = []

    def missing(self):
        return None if os.access(self.program, os.X_OK) else "%s is not there; try ./boot first" % self.program

    def command(self, guest, append):
        return [self.program, "run", "-machine", "pc", "-m", str(MIB), "-nographic", "-no-reboot",
                "-engine", self.engine, "-d", "exits", "-kernel", guest["kernel"], "-initrd", guest["initrd"],
                "-append", append] + self.options


class Interp(Trapline):
    """trapline, interpreting."""

    name = "interp"
    engine = "interp"


class Tcg(Machine):
    name = "tcg"
    program = "qemu-system-x86_64"
    options = []

    def command(self, guest, append):
        return [self.program, "-accel", "tcg", "-smp", "1", "-m", str(MIB), "-nodefaults", "-no-user-config",
                "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", guest["kernel"],
                "-initrd", guest["initrd"], "-append", append] + self.options


class Icount(Tcg):
    name = "icount"
    options = ["-icount", "shift=0"]


class Native(Machine):
    """The same programs on this host's processor, in a chroot: the distance left to go."""

    name = "native"
    program = "unshare"
    boots = False

    def missing(self):
        if os.uname().machine != "x86_64":
            return "this host does not run the guest's programs"
        return None if os.geteuid() == 0 else "needs root (chroot)"

    def command(self, guest, append):
        work = [w[4:] for w in append.split() if w.startswith("run=")][0]
        # In a copy on a tmpfs, so that the tree the guest is made of stays as it is.
        script = ('r=$1/tmp; mount -t tmpfs tmp "$r" && for d in "$1"/*; do [ "$d" = "$r" ] || cp -a "$d" "$r"; done;'
                  ' mkdir "$r/tmp" && mount -t proc proc "$r/proc" && mount --bind /dev "$r/dev" && exec "$2" "$r" "$3"')
        return ["unshare", "-m", "bash", "-c", script, "native", guest["tree"], os.path.dirname(__file__) + "/native", work]


class Bochs(Machine):
    """Debian's Bochs boots through its BIOS from a CD, so its boot has these on top."""

    name = "bochs"
    program = "bochs"
    display = "term"
    share = "/usr/share/bochs/"
    parts = ["/usr/lib/ISOLINUX/isolinux.bin", "/usr/lib/syslinux/modules/bios/ldlinux.c32",
             share + "BIOS-bochs-latest", share + "VGABIOS-lgpl-latest"]

    def __init__(self, program=None):
        super().__init__(program)
        self.dir = None

    def missing(self):
        for p in [self.program, "genisoimage"]:
            if not shutil.which(p):
                return "%s is not installed" % p
        for p in self.parts:
            if not os.path.exists(p):
                return "%s is not there; try: apt-get install bochs bochs-term bochsbios isolinux syslinux-common genisoimage" % p
        return None

    def image(self, guest, append):
        iso = self.dir + "/iso"
        os.mkdir(iso)
        for f in self.parts[:2]:
            shutil.copy(f, iso)
        shutil.copy(guest["kernel"], iso + "/linux")
        shutil.copy(guest["initrd"], iso + "/initrd")
        with open(iso + "/isolinux.cfg", "w", encoding="ascii") as f:
            f.write("default l\nprompt 0\ntimeout 0\nlabel l\n kernel linux\n append initrd=initrd %s\n" % append)
        subprocess.run(["genisoimage", "-quiet", "-o", self.dir + "/boot.iso", "-b", "isolinux.bin", "-c", "boot.cat",
                        "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", iso], check=True)

    def start(self, guest, append, errors):
        self.dir = tempfile.mkdtemp(prefix="trapline-bochs-")
        self.image(guest, APPEND + append)
        con = self.dir + "/console"
        os.mkfifo(con)
        with open(self.dir + "/rc", "w", encoding="ascii") as f:
            f.write("continue\n")           # Debian's build starts in its debugger
        with open(self.dir + "/bochsrc", "w", encoding="ascii") as f:
            f.write("display_library: " + self.display + "\nconfig_interface: textconfig\n"
                    "romimage: file=%sBIOS-bochs-latest\nvgaromimage: file=%sVGABIOS-lgpl-latest\n" % (self.share, self.share) +
                    "memory: guest=%d, host=%d\n" % (MIB, MIB) +
                    "cpu: count=1, ips=100000000, reset_on_triple_fault=0\nclock: sync=none, time0=1600000000\n"
                    "boot: cdrom\nata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14\n"
                    "ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15\n"
                    "ata1-master: type=cdrom, path=%s/boot.iso, status=inserted\n" % self.dir +
                    "com1: enabled=1, mode=file, dev=%s\nlog: %s/log\n" % (con, self.dir) +
                    "panic: action=fatal\nerror: action=ignore\ninfo: action=ignore\ndebug: action=ignore\n"
                    "mouse: enabled=0\n")
        self.console = os.open(con, os.O_RDONLY | os.O_NONBLOCK)
        # Its only display here draws on a terminal; a thread nobody reads would stop it.
        self.screen, slave = pty.openpty()
        os.set_blocking(self.screen, False)
        p = subprocess.Popen([self.program, "-q", "-rc", self.dir + "/rc", "-f", self.dir + "/bochsrc"], stdin=slave,
                             stdout=slave, stderr=slave, env=dict(os.environ, TERM="vt100"), start_new_session=True)
        os.close(slave)
        return p

    def drain(self):
        """Throw away what was drawn."""
        try:
            while os.read(self.screen, 65536):
                pass
        except OSError:
            pass

    def clean(self):
        os.close(self.console)
        os.close(self.screen)
        shutil.rmtree(self.dir)


class OptimizedBochs(Bochs):
    """Bochs from Debian's source package, built for speed by tests/bench/bochs-optimized; only when asked for."""

    name = "bochs-opt"
    program = ROOT + "/build/bochs-optimized/bochs"
    display = "nogui"

    def missing(self):
        if not os.access(self.program, os.X_OK):
            return "not built; try tests/bench/bochs-optimized"
        return super().missing()


ALL = [Trapline, Interp, Tcg, Icount, Bochs, OptimizedBochs, Native]
