// Package profile writes maps that have stacks in their keys as profiles for other
// tools: folded stacks, a pprof profile, a file for speedscope, or the tree of a flame
// graph.
//
// Each entry of such a map is a sample. If a key has several stacks, kernel stacks are
// inside of user stacks. Of two stacks of one kind, the first one is inside of the
// second. The key's other parts are labels. The value of a sample depends on the map's
// value:
//
//	integers, count, sum, min, max   the value
//	avg                              the average
//	stats                            the total (and in pprof also the count)
//	hist, lhist                      the number of values in it
//
// Other maps have no profile.
package profile

import (
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

// ErrNoStacks is the error if no map has stacks in its keys.
var ErrNoStacks = errors.New("no map with stacks as its keys has an entry: use one such as @[ustack] = count()")

// sample is an entry of a map.
type sample struct {
	labels []string
	stack  []frame // innermost first
	values []int64 // the last one is the sample's value
}

type frame struct {
	value.Frame
	kernel bool
}

// valueType is the meaning of one of a sample's numbers.
type valueType uint8

const (
	amount  valueType = iota
	entries           // number of values in a statistic
)

// samples is the profile of one map.
type samples struct {
	name  string // of the map
	types []valueType
	list  []sample
}

// read returns the profiles of the maps that have one.
func read(maps []output.Map) ([]samples, error) {
	var out []samples
	for _, m := range maps {
		p := samples{name: m.Name}
		for _, e := range m.Entries {
			s := sample{}
			types, ok := s.setValue(e.Value)
			if !ok || !s.setKey(e.Key) {
				continue
			}
			p.types = types
			p.list = append(p.list, s)
		}
		if len(p.list) > 0 {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return nil, ErrNoStacks
	}
	return out, nil
}

// setKey sets the stack and the labels of a sample from a key. It reports whether the
// key has stacks.
func (s *sample) setKey(key value.Value) bool {
	var user, kernel []frame
	found := false
	var walk func(v value.Value)
	walk = func(v value.Value) {
		switch v := v.(type) {
		case value.Tuple:
			for _, e := range v {
				walk(e)
			}
		case value.Record:
			for _, f := range v {
				walk(f.V)
			}
		case value.Stack:
			found = true
			to := &user
			if v.Kernel {
				to = &kernel
			}
			for _, f := range v.Frames {
				*to = append(*to, frame{f, v.Kernel})
			}
			if mark := v.Mark(); mark != "" {
				*to = append(*to, frame{value.Frame{Name: mark}, v.Kernel})
			}
		default:
			s.labels = append(s.labels, value.Text(v, ""))
		}
	}
	walk(key)
	s.stack = slices.Concat(kernel, user)
	return found
}

// setValue sets the numbers of a sample from a value. It returns their meanings, and
// false if the value has no numbers.
func (s *sample) setValue(v value.Value) (types []valueType, ok bool) {
	switch v := v.(type) {
	case value.Stats:
		if total, ok := number(v.Total); ok {
			s.values = []int64{v.Count, total}
			return []valueType{entries, amount}, true
		}
		return nil, false
	case value.Avg:
		return s.setValue(v.V)
	case value.Hist:
		n := uint64(0)
		for _, b := range v.Buckets {
			n += b.Count
		}
		s.values = []int64{int64(min(n, math.MaxInt64))}
		return []valueType{entries}, true
	}
	n, ok := number(v)
	s.values = []int64{n}
	return []valueType{amount}, ok
}

// number returns an integer as 64 bits. If it does not fit, number returns the nearest
// 64-bit integer.
func number(v value.Value) (int64, bool) {
	switch v := v.(type) {
	case value.Int:
		return int64(v), true
	case value.Uint:
		return int64(min(uint64(v), math.MaxInt64)), true
	case value.Wide:
		if v.Hi < 0 {
			return math.MinInt64, true
		}
		return math.MaxInt64, true
	}
	return 0, false
}

// weight returns the sample's value.
//
//go:noinline
func (s *sample) weight() int64 { return s.values[len(s.values)-1] }

// title returns the name of a frame's function. If it is unknown, title returns the
// module or the address.
func (f *frame) title() string {
	name := f.Name
	switch {
	case name != "":
	case f.Module != "":
		name = "[" + filepath.Base(f.Module) + "]"
	case f.BuildID != "":
		name = "[" + f.BuildID[:min(8, len(f.BuildID))] + "]"
	default:
		name = "[unknown]"
	}
	return strings.ToValidUTF8(name, "\ufffd")
}
