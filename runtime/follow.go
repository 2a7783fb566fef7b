package runtime

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

// family is the set of processes that --follow selects: one process and its
// descendants. The kernel programs keep the table of them.
type family struct {
	walk  *ebpf.Program
	state *ebpf.Memory // see object.FollowStateMap
	fork  io.Closer    // the program at forks
	root  int

	mu     sync.Mutex // held while the walk runs
	seeded bool
}

// loadFamily loads the programs of --follow.
func (s *Instance) loadFamily() error {
	f := s.obj.Follow
	if f == nil {
		return nil
	}
	for _, p := range []*object.Program{f.Fork, f.Walk} {
		prog, err := s.loadProgram(p)
		if err != nil {
			return s.loadError(p, err)
		}
		s.progs[p.Name] = prog
	}
	s.family = &family{walk: s.progs[f.Walk.Name], root: s.opt.PID}
	if c := s.opt.Child; c != nil {
		s.family.root = c.PID()
	}
	var err error
	if s.family.state, err = s.maps[object.FollowStateMap].Memory(); err != nil {
		return outline.Errorf("cannot map the memory of %s: %w", object.FollowStateMap, err)
	}
	return nil
}

// followFamily fills the table of --follow with the selected process and its present
// descendants. It attaches the program at forks first, so that processes created
// meanwhile are included.
func (s *Instance) followFamily() error {
	f := s.family
	if f == nil || f.root == 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	l, err := link.AttachTracing(link.TracingOptions{Program: s.progs[s.obj.Follow.Fork.Name]})
	if err != nil {
		return outline.Errorf("cannot follow processes: %w", reason(err))
	}
	f.fork = l
	if err := f.add(s); err != nil {
		return outline.Errorf("cannot follow process %d: %w", f.root, err)
	}
	// A program at a fork may have read the parent's byte before the walk set it, and
	// write the child's byte after the walk. After all such programs have ended, another
	// walk finds the child.
	for more := true; more && s.opt.Child == nil; {
		unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0) // without support, nothing is lost: the walk takes longer than such a program
		if more, err = f.run(object.FollowChildren, 0); err != nil {
			return outline.Errorf("cannot list the descendants of process %d: %w", f.root, err)
		}
	}
	f.seeded = true
	return nil
}

// membarrierGlobal is MEMBARRIER_CMD_GLOBAL. It waits until every CPU has left the
// kernel code that it was running, including BPF programs.
const membarrierGlobal = 1

// add puts the selected process into the table.
func (f *family) add(s *Instance) error {
	if !foreignPIDs() {
		table, err := s.maps[object.FollowMap].Memory()
		if err != nil {
			return err
		}
		_, err = table.WriteAt([]byte{1}, int64(f.root))
		return err
	}
	// Only the kernel knows the ID in the initial namespace.
	if !s.opt.Kernel.Has(probes.FeatIterTask) {
		return errors.New(probes.Needs(s.opt.Kernel, "--follow outside of the initial pid namespace", probes.FeatIterTask))
	}
	_, err := f.run(object.FollowAdd, f.root)
	return err
}

// foreignPIDs reports whether this process is not in the initial pid namespace.
func foreignPIDs() bool {
	const initial = 0xeffffffc // PROC_PID_INIT_INO
	var st unix.Stat_t
	return unix.Stat("/proc/self/ns/pid", &st) == nil && st.Ino != initial
}

// run runs the walk over all tasks or, if pid is not 0, over the tasks of one process.
// The caller holds f.mu.
func (f *family) run(mode uint64, pid int) (found bool, err error) {
	var b [object.FollowStateSize]byte
	binary.NativeEndian.PutUint64(b[object.FollowMode:], mode)
	if _, err := f.state.WriteAt(b[:], 0); err != nil {
		return false, err
	}
	if err := probes.WalkTasks(f.walk, pid); err != nil {
		return false, err
	}
	if _, err := f.state.ReadAt(b[:], 0); err != nil {
		return false, err
	}
	return binary.NativeEndian.Uint64(b[object.FollowFound:]) != 0, nil
}

// waitEnd returns when no process of the family is alive, or when stop is closed.
func (f *family) waitEnd(stop <-chan struct{}) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		f.mu.Lock()
		alive, err := true, error(nil)
		if f.seeded {
			alive, err = f.run(object.FollowAlive, 0)
		}
		f.mu.Unlock()
		if !alive || err != nil {
			return
		}
		select {
		case <-t.C:
		case <-stop:
			return
		}
	}
}

// close detaches the program at forks. Afterwards the table of --follow no longer
// changes.
func (f *family) close() {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seeded = false
	if f.fork != nil {
		f.fork.Close()
		f.fork = nil
	}
}
