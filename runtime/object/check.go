package object

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/runtime/outline"
)

// Limits of a decoded object.
const (
	maxRecord = 1 << 24 // bytes of a record
	maxMaps   = 1 << 12
)

// bad returns an ErrFormat with a description of the inconsistency.
//
//go:noinline
func bad(format string, args ...any) error {
	return outline.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

// check returns an error if the parts of an object are inconsistent, so that the
// runtime can rely on references between them.
func (o *Object) check() error {
	for i := range o.Events {
		if err := o.Events[i].check(); err != nil {
			return bad("event %d: %v", i, err)
		}
	}
	maps := map[string]bool{}
	for i := range o.Maps {
		maps[o.Maps[i].Name] = true
	}
	for _, s := range o.Sites {
		if _, ok := siteNames[s.Kind]; !ok {
			return bad("a site is of kind %d", s.Kind)
		}
		if s.Kind == MapFull && !maps[s.What] {
			return bad("a site is of a map %q", s.What)
		}
	}
	if len(o.Kernel) > maxMaps {
		return bad("%d maps", len(o.Kernel))
	}
	names := map[string]int{}
	for i, m := range o.Kernel {
		if names[m.Name] != 0 || m.KeySize < 0 || m.ValueSize < 0 || m.MaxEntries < 0 || m.Inner < 0 || max(m.KeySize, m.ValueSize) > maxRecord {
			return bad("map %q", m.Name)
		}
		names[m.Name] = i + 1
		if err := o.checkKnown(&o.Kernel[i]); err != nil {
			return bad("map %q: %v", m.Name, err)
		}
	}
	for i := range o.Maps {
		if err := o.Maps[i].check(); err != nil {
			return bad("map %s: %v", o.Maps[i].Name, err)
		}
	}
	if f := o.Follow; f != nil {
		for _, p := range []*Program{f.Fork, f.Walk} {
			if err := p.check(); err != nil {
				return bad("a program of --follow: %v", err)
			}
		}
		if names[FollowMap] == 0 || names[FollowStateMap] == 0 {
			return bad("the table of --follow is missing")
		}
	}
	if r := o.Recorder; r != nil {
		find := func(name string) *KernelMap {
			if n := names[name]; n > 0 {
				return &o.Kernel[n-1]
			}
			return nil
		}
		if err := r.check(find(RecorderMap), find(RecorderHeads)); err != nil {
			return bad("the recorder: %v", err)
		}
	}
	for i := range o.Dispatchers {
		if err := o.checkDispatcher(&o.Dispatchers[i], names); err != nil {
			return bad("dispatcher %d: %v", i, err)
		}
	}
	for i, f := range o.Fetchers {
		if f.For < 0 || f.For >= len(o.Programs) {
			return bad("fetcher %d is for no program", i)
		}
		if err := f.Program.check(); err != nil {
			return bad("fetcher %d: %v", i, err)
		}
	}
	for i, p := range o.Programs {
		if err := p.check(); err != nil {
			return bad("program %d: %v", i, err)
		}
		if p.Sampled < 0 || p.Sampled > maxRecord/8 || p.Sampled > 0 && names[SampleMap] == 0 {
			return bad("program %d has the number %d of those that are sampled", i, p.Sampled)
		}
		if p.Partner == nil {
			continue
		}
		if n := p.Partner.Program; n < 0 || n >= len(o.Programs) || o.Programs[n] == nil || p.Partner.Both == nil {
			return bad("program %d has no partner", i)
		}
		if err := p.Partner.Both.check(); err != nil {
			return bad("program %d: %v", i, err)
		}
	}
	return nil
}

// checkDispatcher checks a dispatcher. names has the indices of the kernel maps, counted
// from 1.
func (o *Object) checkDispatcher(d *Dispatcher, names map[string]int) error {
	if err := d.Program.check(); err != nil {
		return err
	}
	array := names[d.Array]
	if array == 0 || len(d.Entries) == 0 {
		return outline.Errorf("it has no programs")
	}
	for _, e := range d.Entries {
		switch {
		case e.Program < 0 || e.Program >= len(o.Programs) || o.Programs[e.Program] == nil:
			return outline.Errorf("there is no program %d", e.Program)
		case e.Point < 0 || e.Point >= len(o.Programs[e.Program].Points):
			return outline.Errorf("program %d has no point %d", e.Program, e.Point)
		case e.Number >= uint64(o.Kernel[array-1].MaxEntries):
			return outline.Errorf("there is no room for the number %d", e.Number)
		}
	}
	return nil
}

// checkKnown checks a map that the runtime looks up by name.
func (o *Object) checkKnown(m *KernelMap) error {
	var key, value int
	switch name, depth, _ := strings.Cut(m.Name, "_"); {
	case m.Name == RingMap:
	case m.Name == SiteMap:
		key, value = 4, 8*len(o.Sites)
	case m.Name == FollowMap:
		key, value = 4, MaxPIDs
	case m.Name == FollowStateMap:
		key, value = 4, FollowStateSize
	case m.Name == CgroupMap:
		if key, value = 4, 4; m.MaxEntries < len(o.Invocation.Cgroups) {
			return outline.Errorf("%d entries for %d cgroups", m.MaxEntries, len(o.Invocation.Cgroups))
		}
	case m.Name == SessionMap:
		key, value = 4, SessionSize
	case m.Name == SampleMap:
		key, value = 4, 8*o.sampled()
	case name == "stacks" || name == "morestacks":
		n, err := strconv.Atoi(depth)
		if err != nil {
			return err
		}
		switch key, value = 4, 8*n; m.Name {
		case StackMap(n):
		case MoreStacks(n):
			value += StackFrames
		default:
			return outline.Errorf("a depth of %q", depth)
		}
	default:
		return nil
	}
	if m.KeySize != key || m.ValueSize != value {
		return outline.Errorf("keys of %d bytes instead of %d, values of %d instead of %d", m.KeySize, key, m.ValueSize, value)
	}
	return nil
}

// sampled returns the number of programs that can be sampled.
func (o *Object) sampled() (n int) {
	for _, p := range o.Programs {
		if p != nil {
			n = max(n, p.Sampled)
		}
	}
	return n
}

func (p *Program) check() error {
	switch {
	case p == nil:
		return outline.Errorf("it is missing")
	case len(p.Insns) == 0:
		return outline.Errorf("it has no instructions")
	}
	for _, f := range p.Funcs {
		if f.First < 0 || f.First >= len(p.Insns) || f.Params < 0 || f.Params > 5 {
			return outline.Errorf("function %s", f.Name)
		}
	}
	return nil
}

func (e *Event) check() error {
	if e.Size < HeaderSize || e.Size > maxRecord {
		return outline.Errorf("a record of %d bytes", e.Size)
	}
	if e.Stamp < 0 || e.Stamp != 0 && e.Stamp > e.Size-StampSize {
		return outline.Errorf("the stamp lies outside of the record")
	}
	if e.Call != nil && (len(e.Call.Names) == 0 || e.Stamp == 0) {
		return outline.Errorf("a call without a name or a stamp")
	}
	for i, a := range e.Args {
		if a.Type == nil || a.Off < 0 {
			return outline.Errorf("argument %d", i)
		}
		size := a.Type.Size
		if a.Packed {
			size = PackedLen
		}
		if a.Off > e.Size || size > e.Size-a.Off {
			return outline.Errorf("argument %d lies outside of the record", i)
		}
	}
	if err := e.Later.check(e.Args); err != nil {
		return err
	}
	for _, l := range e.Lits {
		m, ok := l.(*Message)
		if !ok {
			continue
		}
		if m == nil {
			return outline.Errorf("a message is missing")
		}
		for i, a := range m.Args {
			if a.Type == nil || a.Rec >= len(e.Args) || a.Rec < 0 && len(a.Fixed) < a.Type.Size {
				return outline.Errorf("argument %d of the message", i)
			}
		}
	}
	return nil
}

func (m *Map) check() error {
	if m.Value == nil {
		return outline.Errorf("it has no type")
	}
	for _, p := range m.Programs {
		if p == nil {
			return outline.Errorf("a program is missing")
		}
		if err := p.check(); err != nil {
			return err
		}
	}
	return nil
}
