package object

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf/asm"
)

// TestCheckSampled checks which numbers of programs that are sampled are accepted. The
// runtime uses them as indexes of the map's values.
func TestCheckSampled(t *testing.T) {
	program := func(n int) *Program { return &Program{Insns: asm.Instructions{asm.Return()}, Sampled: n} }
	sampling := func(size int) []KernelMap { return []KernelMap{{Name: SampleMap, KeySize: 4, ValueSize: size}} }
	for _, c := range []struct {
		name  string
		progs []*Program
		maps  []KernelMap
		ok    bool
	}{
		{"none", []*Program{program(0)}, nil, true},
		{"one", []*Program{program(1)}, sampling(8), true},
		{"two", []*Program{program(2), program(0), program(1)}, sampling(16), true},
		{"a small value", []*Program{program(2)}, sampling(8), false},
		{"no map", []*Program{program(1)}, nil, false},
		{"a negative number", []*Program{program(-1), program(1)}, sampling(8), false},
		{"a number beyond an int", []*Program{program(1 << 61)}, sampling(0), false},
		{"a missing program", []*Program{nil, program(1)}, sampling(8), false},
	} {
		o := &Object{Programs: c.progs, Kernel: c.maps}
		if err := o.check(); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v, want acceptance %v", c.name, err, c.ok)
		}
	}
}
