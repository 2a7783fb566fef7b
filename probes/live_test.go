package probes_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/tests/testkit"
)

// The tests in this file attach to the running kernel. They skip only on errors that
// mean that the kernel, or the rights of this process, do not allow that.

// counterProg returns a program for context c that counts its runs in a map. If tid is
// not 0, it counts only runs in that thread.
func counterProg(t testing.TB, c *probes.Context, tid int) (*ebpf.Program, func() uint64) {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	needs(t, err)
	t.Cleanup(func() { m.Close() })
	var insns asm.Instructions
	if tid != 0 {
		insns = append(insns,
			asm.FnGetCurrentPidTgid.Call(),
			asm.JNE.Imm32(asm.R0, int32(tid), "out"),
		)
	}
	insns = append(insns,
		asm.LoadMapValue(asm.R1, m.FD(), 0),
		asm.Mov.Imm(asm.R2, 1),
		asm.AddAtomic.Mem(asm.R1, asm.R2, asm.DWord, 0),
		asm.Mov.Imm(asm.R0, int32(c.Result)).WithSymbol("out"),
		asm.Return(),
	)
	spec := &ebpf.ProgramSpec{Type: c.Load.Type, AttachType: c.Load.AttachType, AttachTo: c.Load.AttachTo, License: "GPL", Instructions: insns}
	if c.Load.AttachProg != 0 {
		spec.AttachTarget, err = ebpf.NewProgramFromID(c.Load.AttachProg)
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

// needs skips the test on errors that mean that this machine does not support it, and
// fails it on others.
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

// data returns the data of points that attaching needs.
func data(ps []*probes.Point) []*object.Point {
	out := make([]*object.Point, len(ps))
	for i, p := range ps {
		at := p.Data()
		out[i] = &at
	}
	return out
}

// attach attaches counters to all points of text, in one program.
func attach(t testing.TB, e *probes.Env, text string, tid int) (io.Closer, func() uint64) {
	t.Helper()
	ps := expand(t, e, text)
	k := ps[0].Kind
	c, err := k.Context(e, ps[0])
	needs(t, err)
	prog, count := counterProg(t, c, tid)
	if len(ps) > 1 && k.AttachMany != nil {
		cl, err := k.AttachMany(e, prog, data(ps))
		if err == nil {
			return cl, count
		}
		if !errors.Is(err, ebpf.ErrNotSupported) {
			t.Fatal(err)
		}
	}
	if len(ps) == 1 {
		cl, err := k.Attach(e, prog, data(ps)[0])
		needs(t, err)
		return cl, count
	}
	var all closeAll
	for _, p := range ps {
		cl, err := k.Attach(e, prog, data([]*probes.Point{p})[0])
		needs(t, err)
		all = append(all, cl)
	}
	return all, count
}

type closeAll []io.Closer

func (cs closeAll) Close() error {
	var errs []error
	for _, c := range cs {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// reads performs exactly n read system calls in this thread.
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
	testkit.NeedRoot(t)
	return &probes.Env{Kernel: kernel.Live()}
}

// TestLiveReads counts a known number of reads with each kind that can observe them. It
// counts those of one thread, since the Go runtime reads too, in others.
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
			goruntime.LockOSThread()
			defer goruntime.UnlockOSThread()
			cl, count := attach(t, e, text, unix.Gettid())
			before := count() // attaching a second place reads too
			reads(t, n)
			if got := count() - before; got != n {
				t.Errorf("counted %d of %d reads", got, n)
			}
			if err := cl.Close(); err != nil {
				t.Error(err)
			}
			closed := count()
			reads(t, 10)
			if again := count(); again != closed {
				t.Errorf("still attached after Close: %d then %d", closed, again)
			}
		})
	}
}

func TestLiveRawTracepoint(t *testing.T) {
	e := liveEnv(t)
	cl, count := attach(t, e, "rawtracepoint:sched_process_exec", 0)
	defer cl.Close()
	if err := exec.Command("true").Run(); err != nil {
		t.Fatal(err)
	}
	if count() == 0 {
		t.Error("no exec seen")
	}
}

func TestLiveTimers(t *testing.T) {
	cpus, err := ebpf.PossibleCPU() // as many as can be online
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		text     string
		hz       float64
		everyCPU bool
	}{
		{"interval:ms:20", 50, false},
		{"interval:20ms", 50, false},
		{"interval:hz:50", 50, false},
		{"profile:hz:50", 50, true},
		{"profile:us:20000", 50, true},
		{"software:cpu-clock:20000000", 50, true},
	} {
		t.Run(tt.text, func(t *testing.T) {
			e := liveEnv(t)
			began := time.Now()
			cl, count := attach(t, e, tt.text, 0)
			for time.Since(began) < 500*time.Millisecond || count() == 0 && time.Since(began) < time.Minute {
				time.Sleep(50 * time.Millisecond)
			}
			cl.Close()
			// A busy or emulated processor runs timers late, but never too often.
			most := tt.hz*time.Since(began).Seconds() + 1
			if tt.everyCPU {
				most *= float64(cpus)
			}
			if got := float64(count()); got == 0 || got > most {
				t.Errorf("ran %v times, want at most %.0f", got, most)
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
	// Tasks come and go meanwhile.
	if got := count(); got < tasks/2 || got > tasks*2+20 {
		t.Errorf("ran %d times for about %d tasks", got, tasks)
	}
}

// TestLiveUprobes counts the calls that a program makes, through each form of
// attach point.
func TestLiveUprobes(t *testing.T) {
	const calls = "1000"
	prog := target(t, goTarget)
	for _, tt := range []struct {
		at   string
		pid  bool
		want uint64
	}{
		{"uprobe:" + prog + ":main.Add", false, 1000},
		{"uprobe:" + prog + ":main.Add", true, 1000},
		{"uprobe:main.Add", true, 1000},
		{"uprobe:*:main.Add", true, 1000},
		{"uprobe:" + prog + ":main.Ad*", false, 1000},
		{"uprobe:" + prog + ":main.[aA]dd*", false, 0},
		{"uprobe:" + prog + ":main.*dd*", false, 2000},
	} {
		t.Run(tt.at, func(t *testing.T) {
			e := liveEnv(t)
			p := start(t, prog, calls)
			p.out.ReadString('\n')
			if tt.pid {
				e.PID = p.Process.Pid
			}
			if tt.want == 0 {
				k := probes.Lookup("uprobe")
				pt, err := k.Parse(e, strings.Split(tt.at, ":"))
				if err != nil {
					t.Fatal(err)
				}
				if ps, err := k.Expand(e, pt); err != nil || len(ps) != 0 {
					t.Errorf("brackets match: %d points, %v", len(ps), err)
				}
				return
			}
			cl, count := attach(t, e, tt.at, 0)
			p.finish(t)
			if err := cl.Close(); err != nil {
				t.Error(err)
			}
			if got := count(); got != tt.want {
				t.Errorf("counted %d of %d calls", got, tt.want)
			}
		})
	}
}

func TestLiveUSDT(t *testing.T) {
	prog := target(t, cTarget)
	for _, at := range []string{"usdt:" + prog + ":hit", "usdt:" + prog + ":demo:hit", "usdt:" + prog + ":demo:counted", "usdt:" + prog + ":demo:coun*", "usdt:" + prog + ":*:hit", "uprobe:" + prog + ":many", "uretprobe:" + prog + ":many", "uprobe:" + prog + ":man*y", "uretprobe:" + prog + ":man*y"} {
		for _, pid := range []bool{false, true} {
			t.Run(fmt.Sprint(at, pid), func(t *testing.T) {
				e := liveEnv(t)
				p := start(t, prog, "500")
				if pid {
					e.PID = p.Process.Pid
				}
				cl, count := attach(t, e, at, 0)
				p.finish(t)
				cl.Close()
				if got := count(); got != 500 {
					t.Errorf("counted %d of 500", got)
				}
			})
		}
	}
}

// TestLiveWatchpoint watches a variable of another process.
func TestLiveWatchpoint(t *testing.T) {
	e := liveEnv(t)
	p := start(t, target(t, goTarget), "100")
	addr, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	e.PID = p.Process.Pid
	ps := expand(t, e, "watchpoint:"+strings.TrimSpace(addr)+":8:w")
	c, err := ps[0].Kind.Context(e, ps[0])
	needs(t, err)
	prog, count := counterProg(t, c, 0)
	cl, err := ps[0].Kind.Attach(e, prog, data(ps)[0])
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENODEV) {
		t.Skip(err) // the machine has no debug registers
	}
	needs(t, err)
	p.finish(t)
	cl.Close()
	if got := count(); got != 100 {
		t.Errorf("counted %d of 100 writes", got)
	}
}

// TestLivePackets sends known numbers of packets over the loopback interface. If the
// probe is on an interface, it uses a network namespace of its own.
func TestLivePackets(t *testing.T) {
	for _, at := range []string{"xdp:lo", "tc:lo:ingress", "tc:lo:egress", "cgroup_skb:CGROUP:egress", "cgroup_skb:CGROUP:ingress"} {
		t.Run(at, func(t *testing.T) {
			e := liveEnv(t)
			alone := !strings.HasPrefix(at, "cgroup")
			if alone {
				ownNetwork(t)
			}
			for _, dir := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
				if _, err := os.Stat(dir + "/cgroup.controllers"); err == nil {
					at = strings.Replace(at, "CGROUP", dir, 1)
				}
			}
			in, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			out, err := net.DialUDP("udp4", nil, in.LocalAddr().(*net.UDPAddr))
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			cl, count := attach(t, e, at, 0)
			buf := make([]byte, 10)
			for range 100 {
				if _, err := out.Write([]byte("x")); err != nil {
					t.Fatal(err)
				}
				in.SetReadDeadline(time.Now().Add(time.Minute))
				if _, err := in.Read(buf); err != nil {
					t.Fatalf("the packet did not pass: %v", err)
				}
			}
			cl.Close()
			if got := count(); got < 100 || alone && got > 100 {
				t.Errorf("counted %d of 100 packets", got)
			}
		})
	}
}

// ownNetwork moves the goroutine to a thread with its own network namespace, which ends
// with the thread.
func ownNetwork(t *testing.T) {
	t.Helper()
	goruntime.LockOSThread() // for good
	needs(t, unix.Unshare(unix.CLONE_NEWNET))
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	lo.SetUint16(unix.IFF_UP)
	needs(t, unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo))
}

// TestLiveNothingLeft checks that no event, probe or link remains after Close.
func TestLiveNothingLeft(t *testing.T) {
	e := liveEnv(t)
	dir, err := e.Kernel.(*kernel.Kernel).TracefsDir()
	needs(t, err)
	prog := target(t, goTarget)
	events := func() (ours []string) {
		text, _ := os.ReadFile(dir + "/uprobe_events")
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, prog) {
				ours = append(ours, line)
			}
		}
		return ours
	}
	fds := func() int { l, _ := os.ReadDir("/proc/self/fd"); return len(l) }
	open := fds()
	for _, at := range []string{"tracepoint:syscalls:sys_enter_read", "uprobe:" + prog + ":main.*dd*", "profile:hz:10", "rawtracepoint:sched_switch"} {
		ps := expand(t, e, at)
		c, err := ps[0].Kind.Context(e, ps[0])
		needs(t, err)
		func() {
			prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: c.Load.Type, AttachType: c.Load.AttachType, AttachTo: c.Load.AttachTo, License: "GPL",
				Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
			needs(t, err)
			defer prog.Close()
			for _, p := range ps {
				cl, err := p.Kind.Attach(e, prog, data([]*probes.Point{p})[0])
				needs(t, err)
				if err := cl.Close(); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	if now := events(); len(now) != 0 {
		t.Errorf("events left behind: %s", now)
	}
	if now := fds(); now > open+2 { // the runtime's own pollers
		t.Errorf("%d file descriptors, %d before", now, open)
	}
}

// TestLiveBPFFunction traces a BPF program of our own.
func TestLiveBPFFunction(t *testing.T) {
	e := liveEnv(t)
	proto := &btf.FuncProto{Return: &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}, Params: []btf.FuncParam{{Name: "ctx", Type: &btf.Pointer{Target: &btf.Void{}}}}}
	name := fmt.Sprintf("a_program_of_%d_with_a_long_name", os.Getpid())
	fn := &btf.Func{Name: name, Type: proto, Linkage: btf.GlobalFunc}
	victim, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{
		btf.WithFuncMetadata(asm.Mov.Imm(asm.R0, 2).WithSymbol(name), fn), asm.Return(),
	}})
	needs(t, err)
	defer victim.Close()
	for _, p := range expand(t, e, "fexit:bpf:"+name) {
		c, err := probes.NewContext(e, p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Ret.Typed(); err == nil {
			t.Error("the result of a program can be read")
		}
	}
	for _, text := range []string{"fentry:bpf:" + name, "fexit:bpf:*:" + name[:20] + "*"} {
		cl, count := attach(t, e, text, 0)
		_, _, err = victim.Test(make([]byte, 64))
		needs(t, err)
		_, err = victim.Run(&ebpf.RunOptions{Data: make([]byte, 64), Repeat: 9})
		needs(t, err)
		cl.Close()
		if got := count(); got != 10 {
			t.Errorf("%s: counted %d of 10 runs", text, got)
		}
	}
}

// Each tracepoint of a system call of this machine has a number, and no other of its side
// has the same.
func TestSyscallNumbers(t *testing.T) {
	e := &probes.Env{Kernel: kernel.Live()}
	k := probes.Lookup("tracepoint")
	p, err := k.Parse(e, []string{"tracepoint", "syscalls", "sys_*"})
	if err != nil {
		t.Fatal(err)
	}
	points, err := k.Expand(e, p)
	if err != nil || len(points) < 500 {
		t.Skipf("%d tracepoints of system calls, %v", len(points), err)
	}
	k.Gather(e, points)
	taken := map[string]string{}
	for _, p := range points {
		if !p.Multi {
			t.Errorf("%s has no number", p.Name)
			continue
		}
		at := fmt.Sprint(p.Func[:len("sys_en")], p.Event)
		if other := taken[at]; other != "" {
			t.Errorf("%s and %s have the number %d", p.Name, other, p.Event)
		}
		taken[at] = p.Name
	}
}
