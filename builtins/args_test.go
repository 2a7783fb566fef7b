package builtins

import (
	"os"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/value"
)

// TestArgsHaveValues checks that each member of the args of each tracepoint of this
// machine has a value.
func TestArgsHaveValues(t *testing.T) {
	if _, err := os.ReadDir("/sys/kernel/tracing/events/sched"); err != nil {
		t.Skip(err)
	}
	e := &probes.Env{Kernel: kernel.Live()}
	k := probes.Lookup("tracepoint")
	p, err := k.Parse(e, strings.Split("tracepoint:*:*", ":"))
	if err != nil {
		t.Fatal(err)
	}
	points, err := k.Expand(e, p)
	if err != nil {
		t.Fatal(err)
	}
	n, recorded := 0, 0
	for _, p := range points {
		ctx, err := k.Context(e, p)
		if err != nil || ctx.Args.Type == nil {
			continue // its format is not supported
		}
		typ := withCopies(ctx.Args.Type, 65)
		for _, f := range typ.Members() {
			if f.Recorded() {
				recorded++
			}
		}
		d := decode.Decoder{Builtin: func(*types.Type, []byte) value.Value { return value.Null{} }}
		if path := nullIn(d.Value(typ, make([]byte, typ.Size))); path != "" {
			t.Errorf("%s: args%s has no value", p.Name, path)
		}
		n++
	}
	if n < 100 || recorded < 10 {
		t.Errorf("%d tracepoints, %d members that a record has elsewhere", n, recorded)
	}
}

// nullIn returns the path to a null in v, or "" if there is none.
func nullIn(v value.Value) string {
	switch v := v.(type) {
	case value.Null:
		return " "
	case value.Record:
		for _, f := range v {
			if path := nullIn(f.V); path != "" {
				return "." + f.Name + path
			}
		}
	case value.Array:
		for _, e := range v {
			if path := nullIn(e); path != "" {
				return "[]" + path
			}
		}
	}
	return ""
}
