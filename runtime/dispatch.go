package runtime

import (
	"fmt"
	"io"

	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

// dispatcher is the link of a dispatcher.
type dispatcher struct {
	io.Closer
	prog *ebpf.Program
}

// Missed returns the number of events for which the kernel did not run the dispatcher.
func (d dispatcher) Missed() uint64 {
	stats, err := d.prog.Stats()
	if err != nil {
		return 0
	}
	return stats.RecursionMisses
}

// attachDispatchers attaches the object's dispatchers. It marks the programs that they
// run as attached.
func (s *Instance) attachDispatchers(done map[*object.Program]bool) error {
	for i := range s.obj.Dispatchers {
		d := &s.obj.Dispatchers[i]
		for _, e := range d.Entries {
			done[s.obj.Programs[e.Program]] = true
		}
		if err := s.attachDispatcher(d); err != nil {
			at := &s.obj.Programs[d.Entries[0].Program].Points[d.Entries[0].Point]
			if err = s.notAttached(at, at.Name, reason(err)); err != nil {
				return err
			}
		}
	}
	return nil
}

// attachDispatcher fills a dispatcher's array with the programs that the kernel has
// accepted, and attaches the dispatcher.
func (s *Instance) attachDispatcher(d *object.Dispatcher) error {
	array := s.maps[d.Array]
	var first *object.Program
	var at []*object.Point
	running := map[*object.Program]bool{}
	for _, e := range d.Entries {
		p := s.obj.Programs[e.Program]
		prog := s.progs[p.Name]
		if prog == nil {
			continue
		}
		if err := array.Put(uint32(e.Number), prog); err != nil {
			return outline.Errorf("adding a program to map %s: %w", d.Array, err)
		}
		if first == nil {
			first = p
		}
		running[p] = true
		at = append(at, &p.Points[e.Point])
	}
	if first == nil {
		return nil
	}
	prog := s.progs[d.Program.Name]
	l, how, err := s.kind(at[0]).AttachDispatcher(d, prog)
	if err != nil {
		return err
	}
	s.links = append(s.links, attached{dispatcher{l, prog}, nil, first})
	for _, p := range at {
		s.attachedTo[countedAs(p)] = true
	}
	if s.opt.Verbose {
		fmt.Fprintf(s.opt.Stderr, "Attached %d %s, which selects one of %d programs by the number of the call\n", len(at), how, len(running))
	}
	return nil
}
