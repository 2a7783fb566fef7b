package probes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/runtime/object"
)

// plainKernel is a kernel without any feature.
type plainKernel struct{ Kernel }

func (plainKernel) Has(Feature) bool { return false }

func TestSyscallDispatchers(t *testing.T) {
	k := tracepointKind()
	on := func(side string, numbers ...uint64) *object.Program {
		p := &object.Program{}
		for _, n := range numbers {
			p.Points = append(p.Points, object.Point{Kind: k.Name, Multi: true, Mode: side, Event: n})
		}
		return p
	}
	show := func(list []object.Dispatcher) string {
		var b strings.Builder
		for _, d := range list {
			fmt.Fprint(&b, d.Program.AttachTo)
			for _, e := range d.Entries {
				fmt.Fprintf(&b, " %d:%d.%d", e.Number, e.Program, e.Point)
			}
			b.WriteString("; ")
		}
		return b.String()
	}
	alone := on("in", 1)
	alone.Points[0].Multi = false
	other := on("in", 1)
	other.Points[0].Kind = "other"
	for _, c := range []struct {
		progs []*object.Program
		want  string
	}{
		{[]*object.Program{alone, other}, ""},
		{[]*object.Program{on("in", 1, 2), on("in", 3)}, "in 1:0.0 2:0.1 3:1.0; "},
		{[]*object.Program{on("in", 1, 2), on("in", 2, 3), on("in", 3)}, "in 1:0.0 2:0.1 3:1.1; in 2:1.0 3:2.0; "},
		{[]*object.Program{on("in", 1, 2), on("in", 2, 3), on("in", 1)}, "in 1:0.0 2:0.1 3:1.1; in 2:1.0 1:2.0; "},
		{[]*object.Program{on("in", 1), on("out", 1), on("in", 2), on("out", 1)}, "in 1:0.0 2:2.0; out 1:1.0; out 1:3.0; "},
		{[]*object.Program{on("in", 1, 2, 1, 1)}, "in 1:0.0 2:0.1; in 1:0.2; in 1:0.3; "},
	} {
		if got := show(syscallDispatchers(&Env{Kernel: plainKernel{}}, k, c.progs)); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
