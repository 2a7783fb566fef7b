package probes_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
)

// The tests of this file attach to the running kernel. They skip where it, or
// our rights, do not allow that: exactly on errors that say so.

// counterProg is a program for context c that counts in a map how often it
// ran, for the process tgid only if that is not 0.
func counterProg(t testing.TB, c *probes.Context, tgid int) (*ebpf.Program, func() uint64) {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	needs(t, err)
	t.Cleanup(func() { m.Close() })
	var insns asm.Instructions
	if tgid != 0 {
		insns = append(insns,
			asm.FnGetCurrentPidTgid.Call(),
			asm.RSh.Imm(asm.R0, 32),
			asm.JNE.Imm(asm.R0, int32(tgid), "out"),
		)
	}
	insns = append(insns,
		asm.LoadMapValue(asm.R1, m.FD(), 0),
		asm.Mov.Imm(asm.R2, 1),
		asm.AddAtomic.Mem(asm.R1, asm.R2, asm.DWord, 0),
		asm.Mov.Imm(asm.R0, int32(c.Result)).WithSymbol("out"),
		asm.Return(),
	)
	spec := &ebpf.ProgramSpec{Type: c.Prog, AttachType: c.AttachType, AttachTo: c.AttachTo, Flags: c.Flags, License: "GPL", Instructions: insns}
	if c.AttachProg != nil {
		spec.AttachTarget, err = c.AttachProg()
		needs(t, err)
	}
	prog, err := ebpf.NewProgram(spec)
	needs(t, err)
	t.Cleanup(func() { prog.Close() })
	return prog, func() uint64 {
		var n uint64
		if err := m.Lookup(uint32(0), &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// needs skips the test on errors that say that this machine can't, and fails it
// on others.
func needs(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		t.Skipf("not possible here: %v", err)
	default:
		t.Fatal(err)
	}
}

// expand parses and expands an attach point written with colons.
func expand(t testing.TB, e *probes.Env, text string) []*probes.Point {
	t.Helper()
	parts := strings.Split(text, ":")
	k := probes.Lookup(parts[0])
	if k == nil {
		t.Fatalf("%s: no such kind", text)
	}
	p, err := k.Parse(e, parts)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	ps, err := k.Expand(e, p)
	needs(t, err)
	if len(ps) == 0 {
		t.Fatalf("%s: no match", text)
	}
	return ps
}

// attach attaches counters to all points of text, in one program.
func attach(t testing.TB, e *probes.Env, text string, tgid int) (io.Closer, func() uint64) {
	t.Helper()
	ps := expand(t, e, text)
	k := ps[0].Kind
	c, err := k.Context(e, ps[0])
	needs(t, err)
	prog, count := counterProg(t, c, tgid)
	if len(ps) > 1 && k.AttachMany != nil {
		cl, err := k.AttachMany(e, prog, ps)
		if err == nil {
			return cl, count
		}
		if !errors.Is(err, ebpf.ErrNotSupported) {
			t.Fatal(err)
		}
	}
	if len(ps) > 1 {
		t.Fatalf("%s: %d points and no way to attach to all", text, len(ps))
	}
	cl, err := k.Attach(e, prog, ps[0])
	needs(t, err)
	return cl, count
}

// reads does exactly n read system calls in this process.
func reads(t testing.TB, n int) {
	t.Helper()
	fd, err := unix.Open("/dev/zero", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var b [1]byte
	for range n {
		if _, err := unix.Read(fd, b[:]); err != nil {
			t.Fatal(err)
		}
	}
}

func liveEnv(t testing.TB) *probes.Env {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	return &probes.Env{Kernel: kernel.Live()}
}

// TestLiveReads counts a known number of reads through each kind that can see
// them. Other threads of the runtime do not read meanwhile.
func TestLiveReads(t *testing.T) {
	const n = 1000
	for _, text := range []string{
		"tracepoint:syscalls:sys_enter_read",
		"tracepoint:syscalls:sys_exit_read",
		"kprobe:ksys_read",
		"kprobe:vmlinux:ksys_read",
		"kprobe:ksys_rea*d",
		"kretprobe:ksys_read",
		"kretprobe:ksys_rea*d",
		"fentry:ksys_read",
		"fexit:ksys_read",
		"lsm:file_permission",
	} {
		t.Run(text, func(t *testing.T) {
			e := liveEnv(t)
			cl, count := attach(t, e, text, os.Getpid())
			reads(t, n)
			if err := cl.Close(); err != nil {
				t.Error(err)
			}
			got := count()
			if got != n {
				t.Errorf("counted %d of %d reads", got, n)
			}
			reads(t, 10)
			if again := count(); again != got {
				t.Errorf("still attached after Close: %d then %d", got, again)
			}
		})
	}
}

func TestLiveRawTracepoint(t *testing.T) {
	e := liveEnv(t)
	cl, count := attach(t, e, "rawtracepoint:sched_process_exec", 0)
	defer cl.Close()
	if err := exec.Command("/bin/true").Run(); err != nil {
		t.Fatal(err)
	}
	if count() == 0 {
		t.Error("no exec seen")
	}
}

func TestLiveTimers(t *testing.T) {
	cpus := func() uint64 {
		text, err := os.ReadFile("/sys/devices/system/cpu/online")
		if err != nil {
			t.Fatal(err)
		}
		var a, b int
		if n, _ := fmt.Sscanf(string(text), "%d-%d", &a, &b); n == 2 {
			return uint64(b - a + 1)
		}
		return 1
	}
	for _, tt := range []struct {
		text     string
		per      uint64 // firings in 500 ms
		everyCPU bool
	}{
		{"interval:ms:10", 50, false},
		{"interval:10ms", 50, false},
		{"interval:hz:100", 50, false},
		{"profile:hz:100", 50, true},
		{"profile:us:10000", 50, true},
		{"software:cpu-clock:10000000", 50, true},
	} {
		t.Run(tt.text, func(t *testing.T) {
			e := liveEnv(t)
			cl, count := attach(t, e, tt.text, 0)
			var ts unix.Timespec = unix.NsecToTimespec(5e8)
			for unix.Nanosleep(&ts, &ts) == unix.EINTR {
			}
			cl.Close()
			want := tt.per
			if tt.everyCPU {
				want *= cpus()
			}
			if got := count(); got < want*8/10 || got > want*12/10+2 {
				t.Errorf("ran %d times, want about %d", got, want)
			}
		})
	}
}

func TestLiveIter(t *testing.T) {
	e := liveEnv(t)
	cl, count := attach(t, e, "iter:task", 0)
	defer cl.Close()
	if err := cl.(probes.Runner).Run(); err != nil {
		t.Fatal(err)
	}
	dirs, _ := os.ReadDir("/proc")
	tasks := uint64(0)
	for _, d := range dirs {
		if sub, err := os.ReadDir("/proc/" + d.Name() + "/task"); err == nil && d.Name()[0] <= '9' {
			tasks += uint64(len(sub))
		}
	}
	if got := count(); got < tasks-10 || got > tasks+20 {
		t.Errorf("ran %d times for about %d tasks", got, tasks)
	}
}

var _ = ir.Int
