package runtime

import (
	"errors"
	"fmt"
	"sort"
	"time"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/store"
	"github.com/gotrace/gotrace/runtime/value"
)

// printAll prints every map, by name. The error lists the maps that could not be read.
func (s *Instance) printAll() error {
	maps := make([]*object.Map, 0, len(s.obj.Maps))
	for i := range s.obj.Maps {
		if m := &s.obj.Maps[i]; !m.Inner() {
			maps = append(maps, m)
		}
	}
	sort.Slice(maps, func(i, j int) bool { return maps[i].Name < maps[j].Name })
	var failed source.DiagError
	s.kernel.ReadTogether(func() {
		for _, m := range maps {
			if err := s.printMap(m, 0, 0, false); err != nil {
				failed = append(failed, source.Diag{Span: m.Span, Msg: fmt.Sprintf("cannot print %s: %v", m.Name, err)})
			}
		}
	})
	if failed == nil {
		return nil
	}
	return failed
}

// printMap prints the top entries of m with the greatest values, or all of them if
// top is 0. If asked is set, a map without keys that was never assigned is printed
// as zero. Otherwise it is left out.
func (s *Instance) printMap(m *object.Map, top, div int64, asked bool) error {
	s.opt.Progress.Begin("Reading "+m.Name, 0)
	out, err := s.mapValues(m, top, asked, s.hurried)
	s.opt.Progress.End() // before the sink writes
	if err != nil {
		return err
	}
	out.Div, out.Zero = div, s.zero(m)
	s.opt.Sink.Map(out)
	return nil
}

// zero returns m's value of zeros.
func (s *Instance) zero(m *object.Map) value.Value {
	return s.env.Decoder().Value(m.Value, make([]byte, m.Value.Size))
}

// never is the hurried function of callers that need all entries.
func never(time.Duration) bool { return false }

// mapValues reads a map for printMap. hurried reports whether a time has passed since the
// end of the session. After readPatience, mapValues stops reading. It decodes the greatest
// entries first and stops after patience. It records the number of entries left out.
func (s *Instance) mapValues(m *object.Map, top int64, asked bool, hurried func(time.Duration) bool) (output.Map, error) {
	out := output.Map{
		Name: m.Name, Keyed: m.Key != nil, Metric: s.metric(m.Value), Max: m.Max,
		KeyNames: m.KeyNames, MetricName: m.MetricName,
	}
	size := m.Value.Size
	if m.PerCPU {
		size *= s.kernel.CPUs
	}
	unhurried := unhurried(size)
	pairs, err := s.readers[m].Read(func(n int) bool { return n >= unhurried && hurried(readPatience) })
	left := leftOut{name: m.Name}
	if err == store.ErrStopped {
		left.read, left.atMost = len(pairs), m.Max
	} else if err != nil {
		return out, err
	}
	if m.Key == nil && len(pairs) == 0 && asked {
		switch s.zero(m).(type) {
		case value.Hist, value.Series: // they have no points to draw
		default:
			pairs = []store.Entry{{Value: make([]byte, m.Value.Size)}}
		}
	}
	pairs = s.mergeOwners(m, pairs)
	most := len(pairs)
	if top > 0 {
		most = int(min(int64(most), top))
		out.More = len(pairs) - most
	}
	if most > unhurried && hurried(patience) {
		left.n = most - unhurried
		most, hurried = unhurried, never
	}
	order := s.sorted(m, pairs, most)
	if len(order) == 0 {
		return out, nil
	}
	out.Entries = make([]value.Entry, len(order))
	// Start with the greatest entries: they are the most useful ones if the time runs
	// out.
	for i := len(order) - 1; i >= 0; i-- {
		if n := len(order) - 1 - i; n >= unhurried && n%1024 == 0 && hurried(patience) {
			left.n = i + 1
			out.Entries = out.Entries[i+1:]
			break
		}
		p, e := &pairs[order[i]], &out.Entries[i]
		if m.Key != nil {
			e.Key = s.env.Decoder().Value(m.Key, p.Key)
		}
		e.Value = s.env.Decoder().Value(m.Value, p.Value)
	}
	if left.n > 0 || left.read > 0 {
		s.leftOut = append(s.leftOut, left)
	}
	return out, nil
}

// metric returns whether values of type t are counters, gauges or histograms.
func (s *Instance) metric(t *types.Type) value.Metric {
	switch t.Kind {
	case types.Int:
		return value.Gauge
	case types.Agg:
		if d := s.defs.ForType(t.Name); d != nil {
			if d.Metric == value.Counter && t.Signed {
				return value.Gauge // the sum may decrease, as its terms may be negative
			}
			return d.Metric
		}
	}
	return value.Other
}

// Snapshot returns the current contents of the script's maps by name, with entries in
// printing order. It may be called from any goroutine while the session runs. If
// Setup.KeepMaps is set, it may also be called after the session has ended.
func (s *Instance) Snapshot() ([]output.Map, error) { return s.Greatest(0) }

// Greatest is like Snapshot, but of each map it returns only the given number of entries
// with the greatest values. 0 means all.
func (s *Instance) Greatest(most int) ([]output.Map, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.final != nil {
		return s.final, nil
	}
	if s.ended || s.closed {
		return nil, errors.New("the session has ended")
	}
	return s.snapshot(int64(most))
}

func (s *Instance) snapshot(top int64) ([]output.Map, error) {
	out := []output.Map{}
	var errs []error
	s.kernel.ReadTogether(func() {
		for i := range s.obj.Maps {
			if s.obj.Maps[i].Inner() {
				continue
			}
			m, err := s.mapValues(&s.obj.Maps[i], top, false, never)
			if err != nil {
				errs = append(errs, outline.Errorf("cannot read %s: %w", m.Name, err))
			}
			out = append(out, m)
		}
	})
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, errors.Join(errs...)
}

// mapByName returns the script's map with the given name, which includes the @.
func (s *Instance) mapByName(name string) (*object.Map, error) {
	if m := s.byName[name]; m != nil {
		return m, nil
	}
	return nil, outline.Errorf("bug: no map %s", name)
}

var _ builtins.Env = (*env)(nil)
