package object_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/store"
	"github.com/gotrace/gotrace/runtime/unwind"
	"github.com/gotrace/gotrace/runtime/value"
)

// registry has the builtins. Those that would write or read files or run commands
// do nothing.
var registry = func() *builtins.Registry {
	var list []*builtins.Def
	for _, d := range builtins.All() {
		if d.Handle != nil && (d.Outside || d.Unsafe || slices.Contains([]string{"skboutput", "cat"}, d.Name)) {
			idle := *d
			idle.Handle = func(env builtins.Env, rec *object.Record) error { return nil }
			d = &idle
		}
		list = append(list, d)
	}
	return builtins.NewRegistry(list)
}()

// nullEnv is a session that has nothing.
type nullEnv struct{}

func (nullEnv) Out() output.Sink                               { return output.Nop{} }
func (nullEnv) Err() io.Writer                                 { return io.Discard }
func (nullEnv) Settings() *object.Settings                     { return &object.Settings{} }
func (e nullEnv) Decoder() *decode.Decoder                     { return registry.Decoder(e) }
func (nullEnv) Warn(source.Span, string, ...any)               {}
func (nullEnv) Fail(string, ...any)                            {}
func (nullEnv) Maps() builtins.Maps                            { return nullMaps{} }
func (nullEnv) Symbols() builtins.Symbols                      { return nullSymbols{} }
func (nullEnv) Names() builtins.Names                          { return nullNames{} }
func (nullEnv) Packet(output.Packet)                           {}
func (nullEnv) BootToWall(ns uint64) time.Time                 { return time.Unix(0, int64(ns)) }
func (nullEnv) Exit(int)                                       {}
func (nullEnv) Unwatch(uint64) error                           { return nil }
func (nullEnv) Outside() context.Context                       { return context.Background() }
func (nullMaps) Print(string, int64, int64) error              { return nil }
func (nullMaps) Clear(string) error                            { return nil }
func (nullMaps) Zero(string) error                             { return nil }
func (nullSymbols) User(int, uint64) string                    { return "" }
func (nullSymbols) Kernel(uint64) string                       { return "" }
func (nullSymbols) Frames(int, []uint64, string) []value.Frame { return nil }
func (nullSymbols) GoValue(int, binary.GoValue) string         { return "" }
func (nullSymbols) Stack(int, int64) ([]uint64, unwind.Why)    { return nil, unwind.Complete }
func (nullNames) Cgroup(uint64, string) string                 { return "" }
func (nullNames) User(uint32) string                           { return "" }
func (nullNames) CommandLine(uint32, uint32) string            { return "" }
func (nullNames) Container(uint64) string                      { return "" }
func (nullNames) Pod(uint64) string                            { return "" }
func (nullNames) Unit(uint64) string                           { return "" }

type (
	nullMaps    struct{}
	nullSymbols struct{}
	nullNames   struct{}
)

// noise returns n bytes: zeros, ones or anything.
func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	mode := r.IntN(3)
	for i := range b {
		switch mode {
		case 1:
			b[i] = 0xff
		case 2:
			b[i] = byte(r.Uint32())
		}
	}
	return b
}

// maxExercise is the size in bytes above which the test makes no values and records.
const maxExercise = 1 << 12

// exercise handles an object's data like a session, as if the kernel had sent and stored
// arbitrary bytes. It fails if that panics.
func exercise(t *testing.T, o *object.Object) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	env := nullEnv{}
	for i := range o.Events {
		e := &o.Events[i]
		if e.Size > maxExercise {
			continue
		}
		for range 2 {
			rec := object.Record{Event: e, Data: noise(r, e.Size+r.IntN(64))}
			registry.Lookup(e.Def).Handle(env, &rec)
		}
	}
	for i := range o.Maps {
		m := &o.Maps[i]
		for _, typ := range []*types.Type{m.Key, m.Value} {
			exerciseType(r, typ)
		}
	}
}

func exerciseType(r *rand.Rand, t *types.Type) {
	if t == nil || t.Size > maxExercise {
		return
	}
	env := nullEnv{}
	for range 2 {
		a, b := noise(r, t.Size), noise(r, t.Size)
		value.Text(env.Decoder().Value(t, a), "")
		d := registry.ForType(t.Name)
		if d == nil || t.Kind != types.Opaque && t.Kind != types.Agg {
			continue
		}
		if t.Kind == types.Agg {
			d.Merge(t, a, b)
		}
		if d.Rank != nil {
			d.Rank(t, a)
		}
		if d.KeptStack != nil {
			d.KeptStack(t, a)
		}
	}
}

// accepted reports whether a session would accept the object.
func accepted(o *object.Object) bool {
	return store.Check(o) == nil && registry.Accept(o) == nil
}

// panics runs f and returns what it panics with, or nil.
func panics(f func()) (what any) {
	defer func() { what = recover() }()
	f()
	return nil
}

// TestHostileEvents passes unexpected events to every builtin that handles events: each
// literal and argument of a valid event is changed or left out. The events must be
// refused or harmless.
func TestHostileEvents(t *testing.T) {
	word := func(size int) *types.Type { return types.NewArray(types.TUint8, size) }
	for _, d := range builtins.All() {
		if d.Handle == nil {
			continue
		}
		if len(d.Sends) == 0 {
			t.Errorf("%s does not say which events it expects", d.Name)
		}
		for _, s := range d.Sends {
			good := func() *object.Event {
				e := &object.Event{Def: d.Name, Size: object.HeaderSize}
				for _, size := range s.Args {
					e.Args = append(e.Args, object.Arg{Type: word(max(size, 4)), Off: e.Size})
					e.Size += max(size, 4)
				}
				for _, l := range s.Lits {
					if _, ok := l.(*object.Message); ok {
						l = &object.Message{Format: "%s", Args: []object.MessageArg{{Type: types.TUint8, Fixed: []byte{1}, Rec: -1}}}
					}
					e.Lits = append(e.Lits, l)
				}
				return e
			}
			try := func(what string, change func(e *object.Event)) bool {
				e := good()
				change(e)
				o := &object.Object{Events: []object.Event{*e}}
				data := object.Encode(o)
				o, err := object.Decode(data)
				if err == nil {
					err = registry.Accept(o)
				}
				if err != nil {
					return false
				}
				if p := panics(func() { exercise(t, o) }); p != nil {
					t.Errorf("%s with %s: %v", d.Name, what, p)
				}
				return true
			}
			if !try("what it expects", func(*object.Event) {}) {
				t.Errorf("%s: a good event is refused", d.Name)
			}
			for i := range s.Lits {
				for _, l := range []any{nil, "x", int64(1), (*object.Message)(nil), &object.Message{Format: "%s %d"}} {
					try(fmt.Sprintf("literal %d a %T", i, l), func(e *object.Event) { e.Lits[i] = l })
				}
				try(fmt.Sprintf("only %d literals", i), func(e *object.Event) { e.Lits = e.Lits[:i] })
			}
			for i := range s.Args {
				try(fmt.Sprintf("only %d arguments", i), func(e *object.Event) { e.Args = e.Args[:i] })
				for _, size := range []int{0, 1, 3, 7} {
					try(fmt.Sprintf("argument %d of %d bytes", i, size), func(e *object.Event) { e.Args[i].Type = word(size) })
				}
				try(fmt.Sprintf("argument %d packed", i), func(e *object.Event) { e.Args[i].Packed = true })
			}
		}
	}
}

// TestHostileTypes gives the types of all builtins sizes and parameters that they cannot
// have. The types must be refused or harmless. The type as a script declares it must be
// accepted.
func TestHostileTypes(t *testing.T) {
	params := [][]int64{nil, {0}, {-1}, {5}, {6}, {1 << 62}, {0, 0}, {0, 5}, {-1, 5}, {3, 4}, {4, 4}, {0, -1}, {0, 1 << 40}, {1, 8, 0x41}, {1, 9, 0x41}, {1, -8, 0x41},
		{0, 100, 10}, {0, 100, 0}, {100, 0, 10}, {-1 << 63, 1<<63 - 1, 1}, {1, 1, 4}, {1, 1, 5}, {1, 1, -1}, {0, 1, 0}, {1, 2, 0}, {0, 0, 0, 0}}
	r := rand.New(rand.NewPCG(3, 4))
	checked := 0
	for _, d := range builtins.All() {
		for _, name := range []string{d.TypeName, d.UnsignedType} {
			if name == "" || registry.ForType(name) == nil {
				continue
			}
			declared := registry.Type(name)
			if p := panics(func() { exerciseType(r, declared) }); p != nil && declared.Kind == types.Opaque {
				t.Errorf("%s as declared: %v", name, p)
			}
			for _, kind := range []types.Kind{types.Opaque, types.Agg} {
				for _, size := range []int{0, 1, 4, 7, 8, 12, 15, 16, 23, 24, 32, 64, 96, 320, 528, 8 * (65<<5 + 1)} {
					for _, p := range params {
						typ := &types.Type{Kind: kind, Name: name, Size: size, Params: p}
						o := &object.Object{Maps: []object.Map{{Name: "@", Value: typ}}}
						if registry.Accept(o) != nil {
							continue
						}
						checked++
						if what := panics(func() { exercise(t, o) }); what != nil {
							t.Errorf("%s of %d bytes with %d: %v", name, size, p, what)
						}
					}
				}
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d types are accepted", checked)
	}
}

// TestUnknownNames checks that names of builtins, types and maps that do not exist
// are refused.
func TestUnknownNames(t *testing.T) {
	for want, o := range map[string]*object.Object{
		"handles events": {Events: []object.Event{{Def: "none", Size: 8}}},
		"event 0, pid":   {Events: []object.Event{{Def: "pid", Size: 8}}},
		"no type x_t":    {Maps: []object.Map{{Name: "@", Value: types.NewTuple(types.TInt8, &types.Type{Kind: types.Opaque, Name: "x_t", Size: 8})}}},
		"of a map":       {Sites: []object.Site{{Kind: object.MapFull, What: "@none"}}},
		"a depth of":     {Kernel: []object.KernelMap{{Name: "morestacks_01", KeySize: 4, ValueSize: 8}}},
	} {
		o, err := object.Decode(object.Encode(o))
		if err == nil {
			err = registry.Accept(o)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
}
