package runtime

import (
	"io"
	"os"
	"time"

	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/cgroups"
	"github.com/gotrace/gotrace/runtime/outline"
)

// fillCgroups puts the chosen cgroups into the map that programs test; nil: no program
// does, because those that are attached to the cgroup itself need not.
func (s *Instance) fillCgroups(m *ebpf.Map) error {
	for i, dir := range s.obj.Invocation.Cgroups {
		f, err := os.Open(dir)
		if err == nil {
			var id uint64
			if id, err = cgroups.ID(dir); err == nil && m != nil {
				err = m.Put(uint32(i), uint32(f.Fd()))
			}
			f.Close()
			s.cgroups = append(s.cgroups, chosenCgroup{dir, id})
		}
		if err != nil {
			return outline.Errorf("cannot trace the cgroup %s: %w", dir, reason(err))
		}
	}
	return nil
}

// chosenCgroup is a cgroup whose processes are traced.
type chosenCgroup struct {
	dir string
	id  uint64
}

// watchCgroups ends the session when a chosen cgroup has been removed, because no process
// can be in it any more. This holds even if another cgroup was created with its name.
func (s *Instance) watchCgroups() {
	t := time.NewTicker(tick)
	defer t.Stop()
	if len(s.cgroups) == 0 {
		s.fillCgroups(nil) // without the map, a cgroup that does not exist is not attached to
	}
	for {
		for _, c := range s.cgroups[:min(len(s.cgroups), max(s.obj.Invocation.Chosen, 0))] {
			if id, err := cgroups.ID(c.dir); err != nil && !os.IsNotExist(err) || id == c.id {
				continue
			}
			if !s.opt.NoWarnings {
				io.WriteString(s.opt.Stderr, source.Diag{
					Severity: source.Warning,
					Msg:      "the cgroup " + c.dir + " was removed: the session ends, as no process can be in it any more",
				}.Render())
			}
			s.end()
			return
		}
		select {
		case <-t.C:
		case <-s.stop:
			return
		}
	}
}
