package check

import (
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/attach"
	"github.com/gotrace/gotrace/lang/cdecl"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/macro"
	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// fakeKernel has two structs, an enum and three tracepoints. The tests do not call the
// methods that it does not override, which would panic.
type fakeKernel struct {
	probes.Kernel
	task *types.Type
}

func newFakeKernel() *fakeKernel {
	k := &fakeKernel{}
	k.task = &types.Type{Kind: types.Struct, Name: "struct task", Size: 64, Space: types.Kernel}
	entity := &types.Type{Kind: types.Struct, Name: "struct entity", Size: 16, Space: types.Kernel}
	entity.Comp = types.NewComposite(false, func() []types.Field {
		return []types.Field{{Name: "weight", Type: types.TUint64}, {Name: "runtime", Type: types.TInt64, Off: 8}}
	})
	k.task.Comp = types.NewComposite(false, func() []types.Field {
		return []types.Field{
			{Name: "pid", Type: types.TInt32},
			{Name: "flags", Type: types.TUint32, Off: 4, BitSize: 3},
			{Name: "parent", Type: types.NewPointer(k.task, types.Kernel), Off: 8},
			{Name: "comm", Type: types.NewString(16), Off: 16},
			{Name: "se", Type: entity, Off: 32},
			{Type: &types.Type{Kind: types.Struct, Name: "union", Size: 8, Comp: types.NewComposite(true, func() []types.Field {
				return []types.Field{{Name: "word", Type: types.TUint64}, {Name: "half", Type: types.TUint32}}
			})}, Off: 48},
			{Name: "cpus", Type: types.NewArray(types.TUint16, 4), Off: 56},
		}
	})
	return k
}

func (k *fakeKernel) Release() probes.Version             { return probes.Version{Major: 6, Minor: 12} }
func (k *fakeKernel) Arch() string                        { return "amd64" }
func (k *fakeKernel) NumCPU() int                         { return 2 }
func (k *fakeKernel) Has(probes.Feature) bool             { return true }
func (k *fakeKernel) Since(probes.Feature) (string, bool) { return "6.1", false }
func (k *fakeKernel) Modules() []string                   { return nil }

func (k *fakeKernel) Type(name string) (*types.Type, error) {
	switch name {
	case "struct task":
		return k.task, nil
	case "struct opaque":
		return &types.Type{Kind: types.Struct, Name: name, Space: types.Kernel}, nil
	case "enum state":
		return fakeEnum, nil
	case "u32":
		return types.TUint32, nil
	}
	return nil, fmt.Errorf("type %s: %w", name, probes.ErrNotFound)
}

func (k *fakeKernel) TypeNames(kind string) []string {
	return map[string][]string{"struct": {"task", "opaque"}, "enum": {"state"}, "typedef": {"u32"}}[kind]
}

var fakeEnum = &types.Type{Kind: types.Enum, Name: "enum state", Size: 4, Consts: &types.EnumDef{
	Values: []types.EnumValue{{Name: "RUNNING", Value: 0}, {Name: "STOPPED", Value: 4}},
}}

func (k *fakeKernel) EnumConst(name string) (int64, *types.Type, bool) {
	for _, v := range fakeEnum.Consts.Values {
		if v.Name == name {
			return v.Value, fakeEnum, true
		}
	}
	return 0, nil, false
}

var fakeTracepoints = map[string][]types.Field{
	"io:read":  {{Name: "fd", Type: types.TInt32, Off: 8}, {Name: "buf", Type: types.NewPointer(types.TInt8, types.User), Off: 16}},
	"io:write": {{Name: "fd", Type: types.TUint64, Off: 8}, {Name: "count", Type: types.TUint64, Off: 16}},
	"io:close": {{Name: "fd", Type: types.TInt32, Off: 8}},
}

func (k *fakeKernel) Tracepoint(category, event string) (*probes.TraceFormat, error) {
	f, ok := fakeTracepoints[category+":"+event]
	if !ok {
		return nil, fmt.Errorf("tracepoint %s:%s: %w", category, event, probes.ErrNotFound)
	}
	return &probes.TraceFormat{ID: len(event), Fields: f, Size: 24}, nil
}

func (k *fakeKernel) Tracepoints() ([]string, error) {
	return []string{"io:close", "io:read", "io:write"}, nil
}

// fakeDefs returns a few builtins: one of each kind, and one for each way to take
// arguments.
func fakeDefs() *builtins.Registry {
	fixed := func(t *types.Type) func(builtins.Checker, *builtins.Call) *types.Type {
		return func(builtins.Checker, *builtins.Call) *types.Type { return t }
	}
	agg := func(name string, params ...builtins.Param) *builtins.Def {
		d := &builtins.Def{Name: name, Kind: builtins.Aggregation, Params: params, TypeDef: builtins.TypeDef{TypeName: name + "_t"}}
		d.Merge = func(*types.Type, []byte, []byte) {}
		if name != "hist" {
			d.Result = func(builtins.Gen, *types.Type, *ir.Value) *ir.Value { return nil }
		}
		d.Check = func(c builtins.Checker, call *builtins.Call) *types.Type {
			t := d.AggType(8, name == "sum" && call.Args[0].Type.Signed)
			if len(call.Args) == 2 {
				t.Params = []int64{call.Args[1].Lit.Int}
			}
			return t
		}
		return d
	}
	one := builtins.Param{Name: "n"}
	return builtins.NewRegistry([]*builtins.Def{
		{Name: "pid", Check: fixed(types.TUint32)},
		{Name: "nsecs", Check: fixed(types.TUint64), Params: []builtins.Param{{Name: "clock", Kind: builtins.NameArg, Optional: true}}},
		{Name: "comm", Check: fixed(types.NewString(16))},
		{Name: "stack", TypeDef: builtins.TypeDef{TypeName: "stack_t"}, Params: []builtins.Param{{Name: "mode", Kind: builtins.NameArg, Optional: true}, {Name: "n", Kind: builtins.Literal, Optional: true}},
			Check: func(c builtins.Checker, call *builtins.Call) *types.Type {
				t := &types.Type{Kind: types.Opaque, Name: "stack_t", Size: 16}
				for _, a := range call.Args {
					if a.Lit != nil {
						t.Params = []int64{a.Lit.Int}
					}
				}
				return t
			}},
		{Name: "curtask", Check: func(c builtins.Checker, call *builtins.Call) *types.Type {
			t, _ := c.Kernel().Type("struct task")
			return types.NewPointer(t, types.BTF)
		}},
		{Name: "args", Traits: builtins.Traits{Args: true, NotInLoop: true}, Check: func(c builtins.Checker, call *builtins.Call) *types.Type {
			if ctx := c.Context(); ctx != nil && ctx.Args.Type != nil {
				return ctx.Args.Type
			}
			c.Errorf(call.Span, "no args here")
			return types.TInvalid
		}},
		{Name: "probe", Check: func(c builtins.Checker, call *builtins.Call) *types.Type {
			if p := c.NeedsPoint(); p != nil {
				call.Lit = &builtins.Lit{Str: p.Name, IsStr: true}
				return types.NewString(len(p.Name) + 1)
			}
			return types.NewString(1)
		}},
		{Name: "print", Kind: builtins.Action, Params: []builtins.Param{{Name: "value", Kind: builtins.MapOrEntry}}, Check: fixed(types.TVoid)},
		{Name: "printf", Kind: builtins.Action, Params: []builtins.Param{{Name: "format", Kind: builtins.Literal}, {Name: "args", Variadic: true}}, Check: fixed(types.TVoid)},
		{Name: "clear", Kind: builtins.Action, Params: []builtins.Param{{Name: "map", Kind: builtins.MapArg}}, Check: fixed(types.TVoid)},
		{Name: "system", Kind: builtins.Action, Traits: builtins.Traits{Unsafe: true}, Params: []builtins.Param{{Name: "command", Kind: builtins.Literal}}, Check: fixed(types.TVoid), Records: builtins.Records{Handle: func(builtins.Env, *object.Record) error { return nil }}},
		{Name: "exit", Kind: builtins.Action, Traits: builtins.Traits{Ends: true, NotInLoop: true}, Check: fixed(types.TVoid)},
		{Name: "find", Kind: builtins.Function, Params: []builtins.Param{{Name: "map", Kind: builtins.MapArg}, {Name: "key"}, {Name: "to", Kind: builtins.VarArg}},
			Check: func(c builtins.Checker, call *builtins.Call) *types.Type {
				call.Args[1].KeyOf, call.Args[2].Assigned = call.Args[0].Map, call.Args[0].Type
				return types.TBool
			}},
		{Name: "str", Kind: builtins.Function, Params: []builtins.Param{{Name: "ptr", Text: true}}, Check: func(c builtins.Checker, call *builtins.Call) *types.Type {
			if l := call.Args[0].Lit; l != nil && l.IsStr {
				call.Lit = l
				return types.NewString(len(l.Str) + 1)
			}
			return types.NewString(64)
		}},
		{Name: "same", Kind: builtins.Function, Params: []builtins.Param{{Name: "a", Kind: builtins.TypeParam}, {Name: "b", Kind: builtins.TypeParam}},
			Check: func(c builtins.Checker, call *builtins.Call) *types.Type {
				call.Lit = boolLit(types.Equal(call.Args[0].Type, call.Args[1].Type))
				return types.TBool
			}},
		agg("count"), agg("sum", one), agg("hist", one, builtins.Param{Name: "k", Kind: builtins.Literal, Optional: true}),
	})
}

// session is the command line of every test.
var session = &builtins.Invocation{Params: []string{"7", "io:read", "1k", ""}}

// checkText parses and checks a script.
func checkText(name, text string) (*Program, *source.Diags) {
	return checkOn(newFakeKernel(), name, text)
}

func checkOn(k probes.Kernel, name, text string) (*Program, *source.Diags) {
	diags := &source.Diags{}
	p := parse.File(source.NewFile(name, text), fakeDefs(), diags)
	if p == nil || diags.HasErrors() {
		return nil, diags
	}
	cfg := config.Default()
	cfg.MaxProbes, cfg.MaxBPFProgs = 8, 6
	if p.Config != nil {
		for _, it := range p.Config.Items {
			if id, ok := it.Value.(*ast.Ident); ok {
				cfg.Set(it.Key.Text, config.TextValue(id.Name))
			}
		}
	}
	env := &probes.Env{Kernel: k, Filter: func(name string) bool { return !strings.Contains(name, "filtered") }}
	decls := cdecl.Parse(p.C, cdecl.Includes{Kernel: k}, diags)
	p = macro.Expand(p, decls, fakeDefs(), diags)
	return Check(Input{
		Source: p, Decls: decls, Blocks: attach.Resolve(p, env, cfg, session.Params, false, diags),
		Config: cfg, Invocation: session, Env: env, Defs: fakeDefs(),
	}, diags), diags
}

// The methods below find nothing.

func (k *fakeKernel) PageSize() int { return 4096 }

func (k *fakeKernel) FuncProto(module, name string) (*probes.FuncProto, error) {
	return nil, fmt.Errorf("function %s: %w", name, probes.ErrNotFound)
}

func (k *fakeKernel) TracepointProto(module, name string) (*probes.FuncProto, error) {
	return nil, fmt.Errorf("raw tracepoint %s: %w", name, probes.ErrNotFound)
}

func (k *fakeKernel) RawTracepoints() ([]string, error) { return nil, nil }
func (k *fakeKernel) Iterators() []string               { return nil }
func (k *fakeKernel) Kfunc(string) (uint32, bool)       { return 0, false }
func (k *fakeKernel) Functions() ([]string, error)      { return nil, nil }
func (k *fakeKernel) Homonyms(_, _ string) []uint64     { return nil }
func (k *fakeKernel) Symbol(string) (uint64, bool)      { return 0, false }
func (k *fakeKernel) SyscallName(int) string            { return "" }
func (k *fakeKernel) SymbolAt(uint64) (string, string, uint64, bool) {
	return "", "", 0, false
}
