package probes

import (
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/types"
)

type oldKernel struct {
	Kernel
	release Version
}

func (k oldKernel) Release() Version { return k.release }

// TestUntraceable checks the prototypes to which the kernel attaches no tracing
// program.
func TestUntraceable(t *testing.T) {
	composite := func(union bool, size int) *types.Type {
		return &types.Type{Kind: types.Struct, Size: size, Comp: types.NewComposite(union, func() []types.Field { return nil })}
	}
	params := func(ts ...*types.Type) (fields []types.Field) {
		for _, t := range ts {
			fields = append(fields, types.Field{Name: "x", Type: t})
		}
		return fields
	}
	many := make([]*types.Type, 13)
	for i := range many {
		many[i] = types.TUint64
	}
	for _, c := range []struct {
		name   string
		result *types.Type
		params []types.Field
		since  Version
		why    string
	}{
		{"plain", types.TInt64, params(types.TUint64), Version{5, 10, 0}, ""},
		{"void", types.TVoid, nil, Version{5, 10, 0}, ""},
		{"returns a struct", composite(false, 8), nil, Version{6, 12, 0}, "it returns a struct"},
		{"returns a union", composite(true, 8), nil, Version{6, 12, 0}, "it returns a union"},
		{"takes a union", types.TVoid, params(composite(true, 8)), Version{6, 12, 0}, "x is a union"},
		{"takes a struct", types.TVoid, params(composite(false, 16)), Version{6, 12, 0}, ""},
		{"takes a struct on an old kernel", types.TVoid, params(composite(false, 16)), Version{5, 10, 0}, "needs Linux 6.1"},
		{"takes a large struct", types.TVoid, params(composite(false, 24)), Version{6, 12, 0}, "24 bytes"},
		{"12 arguments", types.TVoid, params(many[:12]...), Version{6, 12, 0}, ""},
		{"13 arguments", types.TVoid, params(many...), Version{6, 12, 0}, "13 arguments"},
	} {
		e := &Env{Kernel: oldKernel{release: c.since}}
		why := untraceable(e, &FuncProto{Result: c.result, Params: c.params})
		if (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
			t.Errorf("%s: %q, want %q", c.name, why, c.why)
		}
	}
}
