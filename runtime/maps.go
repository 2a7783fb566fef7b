package runtime

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/native"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/store"
	"github.com/gotrace/gotrace/runtime/value"
)

// printAll prints every map, by name. The error lists the maps
// that could not be read.
func (s *Session) printAll() error {
	maps := make([]*object.Map, 0, len(s.obj.Maps))
	for i := range s.obj.Maps {
		maps = append(maps, &s.obj.Maps[i])
	}
	slices.SortFunc(maps, func(a, b *object.Map) int { return cmp.Compare(a.Name, b.Name) })
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
func (s *Session) printMap(m *object.Map, top, div int64, asked bool) error {
	out, err := s.mapValues(m, top, asked)
	if err != nil {
		return err
	}
	out.Div, out.Zero = div, s.zero(m)
	s.opt.Sink.Map(out)
	return nil
}

// zero returns m's value of zeros.
func (s *Session) zero(m *object.Map) value.Value {
	return s.env.Decoder().Value(m.Value, make([]byte, m.Value.Size))
}

// mapValues reads a map for printMap.
func (s *Session) mapValues(m *object.Map, top int64, asked bool) (output.Map, error) {
	out := output.Map{Name: m.Name, Keyed: m.Key != nil, Metric: s.metric(m.Value)}
	pairs, err := s.readers[m].Read()
	if err != nil {
		return out, err
	}
	if m.Key == nil && len(pairs) == 0 && asked {
		switch s.zero(m).(type) {
		case value.Hist, value.Series: // they have no points to draw
		default:
			pairs = []store.Entry{{Value: make([]byte, m.Value.Size)}}
		}
	}
	s.sortPairs(m, pairs)
	if top > 0 && int64(len(pairs)) > top {
		pairs = pairs[int64(len(pairs))-top:]
	}
	if len(pairs) == 0 {
		return out, nil
	}
	out.Entries = make([]value.Entry, len(pairs))
	for i, p := range pairs {
		if m.Key != nil {
			out.Entries[i].Key = s.env.Decoder().Value(m.Key, p.Key)
		}
		out.Entries[i].Value = s.env.Decoder().Value(m.Value, p.Value)
	}
	return out, nil
}

// metric returns the kind of numbers that values of type t are.
func (s *Session) metric(t *types.Type) value.Metric {
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

// Snapshot returns the current contents of the script's maps by name, with entries
// in printing order. It may be called from any goroutine while the session runs. If
// Options.KeepMaps is set, it may also be called after the session has ended.
func (s *Session) Snapshot() ([]output.Map, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.final != nil {
		return s.final, nil
	}
	if s.ended || s.closed {
		return nil, errors.New("the session has ended")
	}
	return s.snapshot()
}

func (s *Session) snapshot() ([]output.Map, error) {
	out := []output.Map{}
	var errs []error
	s.kernel.ReadTogether(func() {
		for i := range s.obj.Maps {
			m, err := s.mapValues(&s.obj.Maps[i], 0, false)
			if err != nil {
				errs = append(errs, fmt.Errorf("cannot read %s: %w", m.Name, err))
			}
			out = append(out, m)
		}
	})
	slices.SortFunc(out, func(a, b output.Map) int { return cmp.Compare(a.Name, b.Name) })
	return out, errors.Join(errs...)
}

// sortPairs sorts entries: by value, ascending, if values are integers or
// aggregations, and otherwise by key. Equal values are sorted by key, so that the
// same data always prints the same text.
func (s *Session) sortPairs(m *object.Map, pairs []store.Entry) {
	if len(pairs) < 2 {
		return
	}
	byKey := func(a, b store.Entry) int { return compareValues(m.Key, a.Key, b.Key) }
	byValue := byKey
	switch m.Value.Kind {
	case types.Int, types.Enum:
		byValue = func(a, b store.Entry) int { return compareValues(m.Value, a.Value, b.Value) }
	case types.Agg:
		order := compareAggBytes
		if d := s.defs.ForType(m.Value.Name); d != nil && d.Order != nil {
			order = d.Order
		}
		byValue = func(a, b store.Entry) int { return order(m.Value, a.Value, b.Value) }
	}
	slices.SortFunc(pairs, func(a, b store.Entry) int {
		if c := byValue(a, b); c != 0 {
			return c
		}
		return byKey(a, b)
	})
}

// compareAggBytes compares aggregations without an order of their own by their
// first word.
func compareAggBytes(t *types.Type, a, b []byte) int {
	return compareValues(types.NewInt(min(t.Size, 8), t.Signed), a, b)
}

// compareValues compares two encoded values of type t.
func compareValues(t *types.Type, a, b []byte) int {
	switch t.Kind {
	case types.Int, types.Enum, types.Bool, types.Pointer:
		if t.Signed {
			return cmp.Compare(native.Int(a[:t.Size]), native.Int(b[:t.Size]))
		}
		return cmp.Compare(native.Uint(a[:t.Size]), native.Uint(b[:t.Size]))
	case types.String:
		return bytes.Compare(cString(a), cString(b))
	case types.Tuple, types.Record:
		for _, f := range t.Fields {
			end := f.Off + f.Type.Size
			if c := compareValues(f.Type, a[f.Off:end], b[f.Off:end]); c != 0 {
				return c
			}
		}
		return 0
	case types.Array:
		if t.Elem == nil || t.Elem.Size == 0 {
			return 0
		}
		for i := range t.Len {
			lo, hi := i*t.Elem.Size, (i+1)*t.Elem.Size
			if c := compareValues(t.Elem, a[lo:hi], b[lo:hi]); c != 0 {
				return c
			}
		}
		return 0
	case types.Opaque:
		if t.IsScalar() {
			return cmp.Compare(native.Uint(a[:t.Size]), native.Uint(b[:t.Size]))
		}
	}
	return bytes.Compare(a, b)
}

func cString(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// mapByName returns the script's map with the given name, which includes the @.
func (s *Session) mapByName(name string) (*object.Map, error) {
	if m := s.byName[name]; m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("bug: no map %s", name)
}

var _ builtins.Env = (*env)(nil)
