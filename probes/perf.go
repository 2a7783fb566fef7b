package probes

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/lazy"
	"github.com/gotrace/gotrace/runtime/outline"
)

// Tracepoints, kprobes, uprobes, timers and counters are all attached in the same way:
// a perf event is opened, and the program is bound to it. Kprobes and uprobes use the
// PMUs with that name. When the file descriptor of the event is closed, the kernel
// removes the probe.

// perfEvent is a perf event with a program bound to it.
type perfEvent struct {
	fd   int
	link io.Closer // nil if bound by ioctl (before 5.15)
}

// Detach removes the program from the event. If that is not possible without closing
// the event, it does nothing.
func (p *perfEvent) Detach() error {
	if p.link == nil {
		return nil
	}
	err := p.link.Close()
	p.link = nil
	return err
}

func (p *perfEvent) Close() error { return errors.Join(p.Detach(), unix.Close(p.fd)) }

// Missed returns the number of events of a kprobe or kretprobe for which the kernel
// could not run the program. Kernels before 6.7 do not count them.
func (p *perfEvent) Missed() uint64 {
	raw, ok := p.link.(*link.RawLink)
	if !ok {
		return 0
	}
	info, err := raw.Info()
	if err != nil {
		return 0
	}
	l, err := link.NewFromID(info.ID)
	if err != nil {
		return 0
	}
	defer l.Close()
	if info, err = l.Info(); err != nil || info.PerfEvent() == nil {
		return 0
	}
	if k := info.PerfEvent().Kprobe(); k != nil {
		return k.Missed
	}
	return 0
}

// SlowToClose reports whether Close may take long after Detach. For each tracepoint,
// the kernel waits until no CPU executes it any more.
func (p *perfEvent) SlowToClose() bool { return p.link != nil }

// Missed returns the sum of the missed events of all elements.
func (cs closers) Missed() (sum uint64) {
	for _, c := range cs {
		if m, ok := c.(interface{ Missed() uint64 }); ok {
			sum += m.Missed()
		}
	}
	return sum
}

// closers closes the elements of a list, eight at a time.
type closers []io.Closer

func (cs closers) Close() error {
	errs := make([]error, len(cs))
	InParallel(8, len(cs), func(i int) { errs[i] = cs[i].Close() })
	return errors.Join(errs...)
}

// InParallel calls do with the numbers from n-1 down to 0. At most limit calls run at the
// same time. It returns when all calls have returned.
func InParallel(limit, n int, do func(i int)) {
	var left atomic.Int64
	left.Store(int64(n))
	var wg sync.WaitGroup
	for range min(limit, n) {
		wg.Go(func() {
			for i := left.Add(-1); i >= 0; i = left.Add(-1) {
				do(int(i))
			}
		})
	}
	wg.Wait()
}

// attachPerf opens an event for pid (-1: all) on cpu (-1: all) and binds prog to it.
func attachPerf(attr *unix.PerfEventAttr, pid, cpu int, prog *ebpf.Program) (io.Closer, error) {
	attr.Size = uint32(unsafe.Sizeof(*attr))
	fd, err := unix.PerfEventOpen(attr, pid, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return nil, outline.Errorf("perf_event_open: %w", err)
	}
	l, err := link.AttachRawLink(link.RawLinkOptions{Target: fd, Program: prog, Attach: ebpf.AttachPerfEvent})
	if err == nil {
		return &perfEvent{fd: fd, link: l}, nil
	}
	// Before Linux 5.15, there are no links for perf events.
	if serr := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, prog.FD()); serr != nil {
		unix.Close(fd)
		return nil, outline.Errorf("binding the program to its event: %w", serr)
	}
	if eerr := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_ENABLE, 0); eerr != nil {
		unix.Close(fd)
		return nil, outline.Errorf("enabling the event: %w", eerr)
	}
	return &perfEvent{fd: fd}, nil
}

// attachPerfCPUs opens the event on each online CPU. It ignores CPUs that go offline
// meanwhile, unless none is left.
func attachPerfCPUs(attr *unix.PerfEventAttr, prog *ebpf.Program) (io.Closer, error) {
	cpus, err := OnlineCPUs()
	if err != nil {
		return nil, err
	}
	var all closers
	var lost error
	for _, cpu := range cpus {
		gone, err := all.attachPerf(*attr, -1, cpu, prog, unix.ENODEV)
		if err != nil {
			return nil, err
		}
		if gone != nil {
			lost = gone
		}
	}
	if len(all) == 0 {
		return nil, lost
	}
	return all, nil
}

// attachPerf opens an event and adds it to cs. gone is the error if it is one of the errno
// ignored. For another error, attachPerf closes all of cs.
func (cs *closers) attachPerf(attr unix.PerfEventAttr, pid, cpu int, prog *ebpf.Program, ignored unix.Errno) (gone, err error) {
	l, err := attachPerf(&attr, pid, cpu, prog)
	switch {
	case errors.Is(err, ignored):
		return err, nil
	case err != nil:
		cs.Close()
		return nil, err
	}
	*cs = append(*cs, l)
	return nil, nil
}

// attachPerfProcess opens the event for all threads of a process, for threads that
// it starts later, and for processes that it forks. It lists the threads again until
// it finds no new ones.
func attachPerfProcess(attr *unix.PerfEventAttr, pid int, prog *ebpf.Program) (io.Closer, error) {
	var all closers
	done := map[int]bool{}
	for more := true; more; {
		more = false
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if errors.Is(err, fs.ErrNotExist) {
			break // the process has ended
		}
		if err != nil {
			all.Close()
			return nil, err
		}
		for _, ent := range entries {
			tid, err := strconv.Atoi(ent.Name())
			if err != nil || done[tid] {
				continue
			}
			done[tid], more = true, true
			a := *attr
			a.Bits |= unix.PerfBitInherit
			if _, err := all.attachPerf(a, tid, -1, prog, unix.ESRCH); err != nil { // ESRCH: the thread has ended
				return nil, err
			}
		}
	}
	if len(all) == 0 {
		return nil, unix.ESRCH
	}
	return all, nil
}

// attachPerfEverywhere opens the event for a process or, if pid is 0, for all
// processes on each CPU.
func attachPerfEverywhere(attr *unix.PerfEventAttr, pid int, prog *ebpf.Program) (io.Closer, error) {
	if pid != 0 {
		return attachPerfProcess(attr, pid, prog)
	}
	return attachPerfCPUs(attr, prog)
}

// OnlineCPUs lists the CPUs that are online.
func OnlineCPUs() ([]int, error) {
	text, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return nil, err
	}
	return parseCPUs(string(text))
}

// parseCPUs parses a list of CPUs such as "0-3,7".
func parseCPUs(text string) ([]int, error) {
	var cpus []int
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		lo, hi, ok := strings.Cut(part, "-")
		if !ok {
			hi = lo
		}
		a, err := strconv.Atoi(lo)
		b, err2 := strconv.Atoi(hi)
		if err != nil || err2 != nil || b < a || b-a > 1<<16 {
			return nil, outline.Errorf("invalid list of CPUs: %q", text)
		}
		for c := a; c <= b; c++ {
			cpus = append(cpus, c)
		}
	}
	return cpus, nil
}

// pmu is a dynamic PMU: its number, and the bit of config that selects the return of
// a function instead of its entry.
type pmu struct {
	typ uint32
	ret uint64
}

// The kernel's probe PMUs do not change at run time.
var (
	kprobePMU = lazy.Result[pmu]{New: func() (pmu, error) { return readPMU("kprobe") }}
	uprobePMU = lazy.Result[pmu]{New: func() (pmu, error) { return readPMU("uprobe") }}
)

func readPMU(name string) (pmu, error) {
	dir := "/sys/bus/event_source/devices/" + name
	text, err := os.ReadFile(dir + "/type")
	if errors.Is(err, os.ErrNotExist) {
		return pmu{}, outline.Errorf("the kernel is built without %ss (CONFIG_%s_EVENTS): %w", name, strings.ToUpper(name), ebpf.ErrNotSupported)
	} else if err != nil {
		return pmu{}, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil {
		return pmu{}, outline.Errorf("%s/type: %w", dir, err)
	}
	p := pmu{uint32(n), 1}
	if text, err := os.ReadFile(dir + "/format/retprobe"); err == nil {
		if n, err := strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(string(text)), "config:")); err == nil && n >= 0 && n < 64 {
			p.ret = 1 << n
		}
	}
	return p, nil
}

// attachPMU attaches a kprobe or uprobe. name is a function or a path, or "" if
// offset is a kernel address. refCounter is the offset in the file of a USDT
// semaphore, or 0.
func attachPMU(of *lazy.Result[pmu], name string, offset uint64, ret bool, pid int, refCounter uint64, prog *ebpf.Program) (io.Closer, error) {
	dev, err := of.Get()
	if err != nil {
		return nil, err
	}
	attr := &unix.PerfEventAttr{Type: dev.typ, Config: refCounter << 32, Ext2: offset, Sample: 1, Wakeup: 1}
	var text []byte
	if name != "" {
		text = append([]byte(name), 0)
		attr.Ext1 = uint64(uintptr(unsafe.Pointer(&text[0])))
	}
	if ret {
		attr.Config |= dev.ret
	}
	// The kernel compares the address space, so one event is enough for all threads
	// of a process.
	task, cpu := -1, 0
	if pid > 0 {
		task, cpu = pid, -1
	}
	c, err := attachPerf(attr, task, cpu, prog)
	runtime.KeepAlive(text)
	return c, err
}

// perfContext returns the context of programs on perf events. It is struct
// bpf_perf_event_data: user_pt_regs, the period and the address.
func perfContext(e *Env, k *Kind) (*Context, error) {
	a, err := binary.ArchOf(e.Kernel.Arch())
	if err != nil {
		return nil, err
	}
	const shape = "perf_event"
	return &Context{
		Kind:   k,
		Load:   Load{Type: ebpf.PerfEvent, Shape: shape, BareShape: shape},
		Ctx:    RawContext{Reg: a.Reg, Type: lazyStruct(e, "struct bpf_perf_event_data", a.RegsSize+16), Word: 8},
		Args:   Args{Space: kernelSpace},
		InTask: true,
		Stacks: true,
	}, nil
}
