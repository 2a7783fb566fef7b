package runtime

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/symbols"
	"github.com/gotrace/gotrace/runtime/value"
)

// userCode is a session's information about the code of processes: the symbols of their
// addresses, the files that they map and execute, and the tables for their stacks.
type userCode struct {
	syms      *symbols.User
	libraries *libraries    // nil: no program is at functions of libraries
	code      *codeWatch    // nil: no program is at functions of files that are not known yet
	unwind    *unwinding    // nil: no program walks user stacks by tables
	stacks    *stackKeeper  // nil: the script never has to free stacks
	mmaps     *mmapLog      // nil: not needed, or the kernel does not support it
	programs  *programLog   // nil: not needed, or the kernel does not support it
	family    *family       // nil: --follow was not given
	followed  chan struct{} // closed when followMappings has ended; nil: it does not run
	mapped    time.Time     // start of the last survey because of lost records
	surveys   sync.WaitGroup
	wake      int // eventfd that ends the wait of followMappings
}

// usesUserSymbols reports whether the script stores or prints user addresses by name.
func (s *Instance) usesUserSymbols() bool {
	return s.uses(func(d *builtins.Def) bool { return d.UserSymbols })
}

// uses reports whether the script stores or prints a value of a type for whose builtin
// wanted returns true.
func (s *Instance) uses(wanted func(*builtins.Def) bool) bool {
	uses := func(t *types.Type) (found bool) {
		eachOpaque(t, 0, func(t *types.Type, _ int) {
			d := s.defs.ForType(t.Name)
			found = found || d != nil && wanted(d)
		})
		return found
	}
	for i := range s.obj.Maps {
		if m := &s.obj.Maps[i]; uses(m.Key) || uses(m.Value) {
			return true
		}
	}
	for _, e := range s.obj.Events {
		for _, a := range e.Args {
			if uses(a.Type) {
				return true
			}
		}
	}
	return false
}

// HasStackKeys reports whether a map of the object has stacks in its keys.
func HasStackKeys(obj *object.Object, defs *builtins.Registry) bool {
	found := false
	for i := range obj.Maps {
		eachOpaque(obj.Maps[i].Key, 0, func(t *types.Type, _ int) {
			d := defs.ForType(t.Name)
			found = found || d != nil && d.KeptStack != nil
		})
	}
	return found
}

// watchMappings starts the log of process mappings if it is needed to name user
// addresses or to count the forks of the process of -c or -p. If the kernel does not
// support the log, names of processes that have ended may be missing.
func (s *Instance) watchMappings() {
	root := s.opt.PID
	if s.opt.Child != nil {
		root = s.opt.Child.PID()
	}
	if s.usesUserSymbols() {
		s.mmaps, _ = newMmapLog(allProcesses, root)
		s.surveys.Go(func() { s.survey(s.syms.Add) })
		if s.mmaps != nil {
			s.followed = make(chan struct{})
			s.wake, _ = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
			go s.followMappings()
		}
	}
	switch {
	case s.mmaps != nil:
	case s.opt.Child != nil:
		s.mmaps, _ = newMmapLog(root, root)
	case root != 0 && s.family == nil && s.childOnly() != nil:
		s.mmaps, _ = newForkLog(root)
	}
}

// pause is the time between two reads of the log of mappings. A process in another mount
// namespace must live for this time so that its files can be opened.
const pause = 2 * time.Millisecond

// followMappings reads the log of mappings soon after there are any, even if the script
// sends no events. It returns after stopFollowing is called.
func (s *Instance) followMappings() {
	defer close(s.followed)
	for {
		s.mmaps.wait(tick, s.wake)
		select {
		case <-s.done:
			return
		default:
		}
		// While maps are printed, the log continues to fill.
		s.mmaps.collect()
		if s.mu.TryLock() {
			if !s.closed {
				s.noteMappings()
			}
			s.mu.Unlock()
		}
		time.Sleep(pause)
	}
}

// filePatience is the maximum time for which the end of a session waits for files that the
// child maps.
const filePatience = time.Second

// awaitFiles waits until the files that the child maps can be read after its end: deleted
// ones, for example.
func (s *Instance) awaitFiles() {
	if s.mmaps == nil || !s.usesUserSymbols() {
		return
	}
	s.lock()
	s.noteMappings()
	s.unlock()
	late := time.After(filePatience)
	if !s.interrupted() {
		late = newStopwatch().after(filePatience, 10*filePatience)
	}
	s.syms.AwaitFiles(late)
}

// stopFollowing ends followMappings and surveys, and closes the log of mappings. s.done must
// be closed.
func (s *Instance) stopFollowing() {
	s.surveys.Wait()
	if s.followed != nil {
		unix.Write(s.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // without the eventfd, the goroutine ends within a tick
		<-s.followed
		unix.Close(s.wake)
	}
	if s.mmaps != nil {
		s.mmaps.close()
	}
}

// reportSymbols reports why user addresses may lack names.
func (s *Instance) reportSymbols() {
	if s.mmaps == nil || !s.usesUserSymbols() || s.opt.NoWarnings {
		return
	}
	if n := s.mmaps.lost; n > 0 {
		fmt.Fprintf(s.opt.Stderr, "WARNING: %d records of process mappings were lost: addresses of processes that have ended may have no names\n", n)
	}
	if s.syms.Unanswered() > 0 {
		fmt.Fprintln(s.opt.Stderr, "WARNING: addresses in files on file systems that do not answer have no names")
	}
	if n, dropped := s.syms.Forgotten(); n > 0 {
		fmt.Fprintf(s.opt.Stderr, "WARNING: addresses of %d ended processes have no names: there was no room for the mappings of %d that ended first\n", n, dropped)
	}
	if n := s.syms.Ambiguous(); n > 0 {
		fmt.Fprintf(s.opt.Stderr, "WARNING: %d process IDs have had different code at the same addresses: names may be those of the later code\n", n)
	}
}

// processesInUse calls note with the processes that have addresses in maps of the script.
func (s *Instance) processesInUse(note func(pid int)) {
	e := noter{s.env, note}
	for i := range s.obj.Maps {
		m := &s.obj.Maps[i]
		r := s.readers[m]
		if r == nil || !s.eachUserValue(m.Key, nil, nil) && !s.eachUserValue(m.Value, nil, nil) {
			continue
		}
		entries, err := r.Read(nil)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			s.eachUserValue(m.Key, entry.Key, e)
			s.eachUserValue(m.Value, entry.Value, e)
		}
	}
}

// eachUserValue formats each part of data, a value of type t, that names user addresses,
// unless data is nil. It reports whether the type has such parts.
func (s *Instance) eachUserValue(t *types.Type, data []byte, e builtins.Env) bool {
	found := false
	eachOpaque(t, 0, func(t *types.Type, off int) {
		if d := s.defs.ForType(t.Name); d != nil && d.UserSymbols {
			found = true
			if off+t.Size <= len(data) {
				d.Format(e, t, data[off:off+t.Size])
			}
		}
	})
	return found
}

// noter is an Env that reports the processes whose addresses are formatted.
type noter struct {
	builtins.Env
	note func(pid int)
}

func (e noter) Symbols() builtins.Symbols { return noterSymbols{e.Env.Symbols(), e.note} }

type noterSymbols struct {
	builtins.Symbols
	note func(pid int)
}

func (n noterSymbols) User(pid int, _ uint64) string {
	n.note(pid)
	return ""
}

func (n noterSymbols) Frames(pid int, _ []uint64, _ string) []value.Frame {
	n.note(pid)
	return nil
}

// survey reads the memory maps of all processes that exist, at the start as the log contains
// only later mappings, or after the log has lost records. It starts with the newest
// processes, which are likely to end first. If there are many, it uses at most about a
// tenth of a CPU.
func (s *Instance) survey(add func(symbols.Found)) {
	running, _ := symbols.Running(s.procRoot()) // without procfs, the log tells of later mappings
	pids := slices.Sorted(maps.Keys(running))
	slices.Reverse(pids)
	turn := 50 * time.Millisecond // later iterations are shorter
	began := time.Now()
	for _, pid := range pids {
		if s.stopped() { // those that exist are read when they are looked up
			return
		}
		found := symbols.ReadMaps(s.procRoot(), pid)
		s.mu.Lock()
		add(found)
		s.mu.Unlock()
		if worked := time.Since(began); worked > turn {
			select {
			case <-time.After(9 * worked):
			case <-s.stop:
				return
			}
			began, turn = time.Now(), time.Millisecond
		}
	}
}
