// Package vm runs a command under another Linux kernel, to test features that depend on
// the kernel.
//
// A guest is QEMU without KVM (emulation works everywhere and boots in about fifteen
// seconds), a kernel image from a Debian package, and a generated initramfs. The
// initramfs has busybox, the files of the test, and an init that mounts the tracing
// file systems, runs the command and powers off. There is no disk, and no network
// except the loopback.
//
// The first serial port is the kernel's console and goes to a file, which is
// shown if a guest dies. The second one carries the command's output; its last
// line has the exit status.
//
// Guests have one CPU: with more, an emulated CPU may run a stale breakpoint
// while another patches the kernel's code, and the guest panics.
package vm

import (
	"bufio"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Guest is one run of a command under a kernel.
type Guest struct {
	Kernel  Kernel
	Files   []File
	Command []string
	Timeout time.Duration // from power-on; 0: five minutes
	Memory  int           // MiB; 0: 1024
	CPUs    int           // 0: 1
	Append  string        // more arguments of the kernel's command line
	Out     io.Writer     // the command's stdout and stderr
}

// File is a file of the host that is copied to the guest. Programs must be statically linked,
// since no libraries are copied, unless the loader that they name is one of the files.
type File struct {
	Src string // on the host
	Dst string // in the guest, absolute
}

// ErrTimeout is the error for a guest that exceeded its timeout.
var ErrTimeout = errors.New("the guest did not finish in time")

// exitMark starts the line with the command's exit status.
const exitMark = "guest-exit-status="

// initScript is the guest's first process.
const initScript = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin:/usr/local/bin HOME=/root USER=root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
ip link set lo up
[ -f /module.ko ] && insmod /module.ko
stty -F /dev/ttyS1 raw -echo
cd /root
sh /command </dev/null >/dev/ttyS1 2>&1
echo "` + exitMark + `$?" >/dev/ttyS1
poweroff -f
`

// Run boots the guest and returns the command's exit status. It returns an
// error if there is no status: the guest could not start, died, or ran out of
// time.
func (g *Guest) Run(ctx context.Context) (int, error) {
	image, err := g.Kernel.Image()
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "gotrace-guest-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	initrd := filepath.Join(dir, "initrd")
	if err := g.writeInitrd(initrd); err != nil {
		return 0, fmt.Errorf("initramfs: %w", err)
	}

	timeout := g.Timeout
	if timeout == 0 {
		timeout = 5 * time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, ErrTimeout)
	defer cancel()
	console := filepath.Join(dir, "console")
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64",
		"-accel", "tcg,thread=multi", "-cpu", "max,-la57", // page tables of five levels make it slower
		"-smp", strconv.Itoa(max(1, g.CPUs)), "-m", strconv.Itoa(orDefault(g.Memory, 1024)),
		"-display", "none", "-nodefaults", "-no-reboot",
		"-kernel", image, "-initrd", initrd,
		"-append", "console=ttyS0 quiet panic=-1 mitigations=off "+g.Append,
		"-serial", "file:"+console, "-serial", "stdio")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	status, copyErr := copyOutput(g.Out, out)
	waitErr := cmd.Wait()
	switch {
	case status >= 0:
		return status, copyErr
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case waitErr != nil:
		return 0, fmt.Errorf("qemu: %w: %s", waitErr, strings.TrimSpace(stderr.String()))
	}
	return 0, fmt.Errorf("the guest died; its console ends with:\n%s", tail(console, 20))
}

// copyOutput copies the command's output to w line by line, without the line
// with the exit status. It returns the status, or -1 if there was none.
func copyOutput(w io.Writer, r io.Reader) (status int, err error) {
	status = -1
	in := bufio.NewReader(r)
	for {
		line, readErr := in.ReadString('\n')
		// The mark may follow an unfinished line.
		if before, number, ok := strings.Cut(line, exitMark); ok {
			if n, convErr := strconv.Atoi(strings.TrimSpace(number)); convErr == nil {
				line, status = before, n
			}
		}
		if line != "" && err == nil {
			_, err = io.WriteString(w, line)
		}
		if readErr != nil {
			return status, err
		}
	}
}

func (g *Guest) writeInitrd(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := bufio.NewWriterSize(f, 1<<20)
	a := newArchive(buf)
	for _, d := range []string{"proc", "sys", "dev", "tmp", "run", "root", "usr/bin", "usr/local/bin"} {
		a.dir(d)
	}
	a.copy("bin/busybox", busybox)
	a.file("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n")
	a.file("etc/group", 0o644, "root:x:0:\n")
	a.file("etc/hosts", 0o644, "127.0.0.1 localhost\n")
	a.file("init", 0o755, initScript)
	if image, err := g.Kernel.Image(); err == nil {
		if module := g.Kernel.module(filepath.Dir(image)); exists(module) {
			a.copy("module.ko", module)
		}
	}
	a.file("command", 0o755, shellQuote(g.Command)+"\n")
	for _, file := range g.Files {
		if err := g.checkLoader(file.Src); err != nil {
			return err
		}
		a.copy(strings.TrimPrefix(file.Dst, "/"), file.Src)
	}
	if err := a.close(); err != nil {
		return err
	}
	return errors.Join(buf.Flush(), f.Close())
}

// checkLoader returns an error if path is a program that names a loader, which loads its
// libraries, and no file has the name of the loader in some directory of the guest.
func (g *Guest) checkLoader(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return nil // not a program, or missing, which another error reports
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		text, err := io.ReadAll(p.Open())
		if err != nil {
			return err
		}
		loader := strings.TrimRight(string(text), "\x00")
		if !slices.ContainsFunc(g.Files, func(f File) bool { return strings.HasSuffix(f.Dst, loader) }) {
			return fmt.Errorf("%s is linked dynamically: build it static, or bring %s along", path, loader)
		}
	}
	return nil
}

// shellQuote returns words as one line that sh parses back unchanged.
func shellQuote(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}

// tail returns the last n lines of a file.
func tail(path string, n int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func orDefault(n, def int) int {
	if n == 0 {
		return def
	}
	return n
}
