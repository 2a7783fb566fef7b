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

func (k oldKernel) Release() Version             { return k.release }
func (k oldKernel) Has(Feature) bool             { return k.release.Major > 5 }
func (k oldKernel) Since(Feature) (string, bool) { return "6.1", !k.Has("") }

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
		{"takes a struct on an old kernel", types.TVoid, params(composite(false, 16)), Version{5, 10, 0}, "its argument x is a struct, which needs Linux 6.1 (structs as arguments), this is 5.10"},
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

// listKernel has functions, some with prototypes and some several times.
type listKernel struct {
	oldKernel
	functions []string
	protos    map[string]*FuncProto
}

func (k listKernel) Functions() ([]string, error) { return k.functions, nil }

func (k listKernel) FuncProto(_, name string) (*FuncProto, error) {
	if p := k.protos[name]; p != nil {
		return p, nil
	}
	return nil, ErrNotFound
}

func (k listKernel) Homonyms(_, name string) (list []uint64) {
	for i, f := range k.functions {
		if strings.HasSuffix(f, ":"+name) {
			list = append(list, uint64(i+1))
		}
	}
	if len(list) < 2 {
		return nil
	}
	return list
}

func (listKernel) Has(Feature) bool { return true }

func (listKernel) SymbolAt(uint64) (string, string, uint64, bool) { return "", "", 0, false }

func (listKernel) Modules() []string { return []string{"ext4", "nf_tables"} }

func (listKernel) Symbol(name string) (uint64, bool) { return 0, name == "marked_notrace" }

// TestOnlyUntraceable checks the reasons why a pattern matches functions but no program can
// be attached to them.
func TestOnlyUntraceable(t *testing.T) {
	plain := &FuncProto{Result: types.TVoid}
	k := listKernel{
		oldKernel: oldKernel{release: Version{6, 12, 0}},
		functions: []string{"vmlinux:do_exit", "vmlinux:do_group_exit", "vmlinux:migrate_enable", "vmlinux:asm_f", "vmlinux:asm_g", "vmlinux:printf_like", "vmlinux:twice", "vmlinux:twice", "vmlinux:unknown", "vmlinux:unknown"},
		protos:    map[string]*FuncProto{"do_exit": plain, "do_group_exit": plain, "migrate_enable": plain, "printf_like": {Variadic: true}, "twice": plain, "marked_notrace": plain},
	}
	e := &Env{Kernel: k}
	for _, c := range []struct {
		ret           bool
		pattern, want string
	}{
		{true, "do_*exit", "no program can be attached to the functions that match; reasons: never return (2)"},
		{false, "do_*exit", ""},
		{false, "migrate_*", "no program can be attached to the functions that match; reasons: called by such programs, so the kernel attaches none to them (1)"},
		{false, "asm_*", "no program can be attached to the functions that match; reasons: no BTF, which kprobe does not need (2)"},
		{true, "*f*", "no program can be attached to the functions that match; reasons: a variable number of arguments (1); no BTF, which kprobe does not need (1)"},
		{false, "nothing*", ""},
	} {
		kind := fentryKind(c.ret)
		p, err := kind.Parse(e, []string{kind.Name, c.pattern})
		if err != nil {
			t.Fatal(err)
		}
		got := kind.Lacks(e, p)
		if (got == "") != (c.want == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s:%s: %q, want %q", kind.Name, c.pattern, got, c.want)
		}
	}
	for point, want := range map[string]string{
		"fentry:ext_4:f":             "module ext_4 is not loaded: did you mean 'ext4'?",
		"fexit:nosuchmodule:*":       "module nosuchmodule is not loaded",
		"fmod_ret:nosuchmodule:f":    "module nosuchmodule is not loaded",
		"kprobe:ext5:marked_notrace": "did you mean 'ext4'?",
		"fentry:bpf:prog":            "",
		"fmod_ret:twice":             notReplaceable,
		"fmod_ret:vmlinux:tw*":       notReplaceable,
		"kprobe:do_exti":             "did you mean 'do_exit'?",
		"kprobe:marked_notrace":      "the function is not traceable: it is marked notrace, and this kernel may be built without kprobes in such functions (CONFIG_KPROBE_EVENTS_ON_NOTRACE)",
		"kretprobe:marked_notrace":   "the function is not traceable: it is marked notrace, and this kernel may be built without kprobes in such functions (CONFIG_KPROBE_EVENTS_ON_NOTRACE)",
	} {
		parts := strings.Split(point, ":")
		p, err := Lookup(parts[0]).Parse(e, parts)
		if err != nil {
			t.Fatal(err)
		}
		if got := Hint(e, p); got != want {
			t.Errorf("%s: %q, want %q", point, got, want)
		}
	}
	kind := fentryKind(false)
	if _, err := kind.Context(e, &Point{Kind: kind, Target: "vmlinux", Func: "printf_like"}); err == nil || !strings.Contains(err.Error(), "printf_like takes a variable number of arguments: fentry cannot be attached to it") {
		t.Errorf("fentry:printf_like: %v", err)
	}
	if _, err := kind.Context(e, &Point{Kind: kind, Target: "vmlinux", Func: "migrate_enable"}); err == nil || !strings.Contains(err.Error(), "programs of fentry call migrate_enable themselves, so the kernel attaches none to it") {
		t.Errorf("fentry:migrate_enable: %v", err)
	}
	for name, want := range map[string]string{"twice": "the kernel has 2 functions of the name twice and attaches fentry to one of them", "unknown": "", "do_exit": ""} {
		p, err := kind.Parse(e, []string{kind.Name, name})
		if err != nil {
			t.Fatal(err)
		}
		if got := kind.Doubt(e, p); (got == "") != (want == "") || !strings.HasPrefix(got, want) {
			t.Errorf("fentry:%s: %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"twice#2", "twice@file.c", "twice#x"} {
		if _, err := kind.Parse(e, []string{kind.Name, name}); err == nil {
			t.Errorf("fentry:%s is accepted", name)
		}
	}
}
