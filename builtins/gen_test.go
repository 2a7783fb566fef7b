package builtins

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/pattern"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/tests/irtest"
)

// testGen builds code for an interpreter. Arguments are parameters of the function
// under test (words, or addresses of memory), and control flow is real. Methods that
// need a kernel panic.
type testGen struct {
	Gen // methods that no test needs panic
	b   *ir.Builder
	mod *ir.Module
	arg map[*Arg]*ir.Value
}

func (g *testGen) B() *ir.Builder           { return g.b }
func (g *testGen) Value(a *Arg) *ir.Value   { return g.arg[a] }
func (g *testGen) Addr(a *Arg) *ir.Value    { return g.arg[a] }
func (g *testGen) Kernel() probes.Kernel    { return bareKernel{} }
func (g *testGen) Temp(size int) *ir.Value  { return g.b.Slot(size) }
func (g *testGen) Context() *probes.Context { return nil }
func (g *testGen) Sampling() *ir.Value      { return nil }
func (g *testGen) Count(object.SiteKind, source.Span, string) {
}

func (g *testGen) Ref(a *Arg) (*ir.Value, types.Space) { return g.arg[a], types.NoSpace }

func (g *testGen) Store(a *Arg, t *types.Type, dst Dest) {
	g.b.Copy(dst.Ptr, dst.Off, g.arg[a], t.Size)
}

func (g *testGen) Rodata(data []byte) *ir.Value {
	m := &ir.Map{Name: "rodata" + strconv.Itoa(len(g.mod.Maps)), Type: ir.Array, KeySize: 4, ValueSize: len(data), MaxEntries: 1, Contents: data, Frozen: true}
	g.mod.Maps = append(g.mod.Maps, m)
	return g.b.MapValue(m, 0)
}

func (g *testGen) KernelMap(m ir.Map) *ir.Map {
	g.mod.Maps = append(g.mod.Maps, &m)
	return &m
}

// bareKernel has no feature beyond those of the oldest supported kernel.
type bareKernel struct{ probes.Kernel }

func (bareKernel) Kfunc(string) (uint32, bool) { return 0, false }
func (bareKernel) Has(probes.Feature) bool     { return false }
func (bareKernel) NumCPU() int                 { return 2 }
func (bareKernel) Arch() string                { return "amd64" }
func (bareKernel) SyscallName(n int) string    { return map[int]string{0: "read", 1: "write"}[n] }

// testChecker collects the errors and warnings of type rules.
type testChecker struct {
	Checker // methods that no test needs panic
	diags   source.Diags
	cfg     *config.Config
	session Invocation
	ctx     *probes.Context
	made    pattern.Cache
}

func (c *testChecker) Patterns() *pattern.Cache { return &c.made }

func newTestChecker() *testChecker { return &testChecker{cfg: config.Default()} }

// Number accepts decimal and hexadecimal numbers.
func (c *testChecker) Number(text string) (*Lit, bool) {
	n, err := strconv.ParseUint(text, 0, 64)
	return &Lit{Int: int64(n), Unsigned: int64(n) < 0}, err == nil
}

func (c *testChecker) Errorf(s source.Span, format string, args ...any) {
	c.diags.Errorf(s, format, args...)
}

func (c *testChecker) ErrorHint(s source.Span, hint, format string, args ...any) {
	c.diags.ErrorHint(s, hint, format, args...)
}

func (c *testChecker) Warnf(s source.Span, format string, args ...any) {
	c.diags.Warnf(s, format, args...)
}

func (c *testChecker) Kernel() probes.Kernel    { return bareKernel{} }
func (c *testChecker) Config() *config.Config   { return c.cfg }
func (c *testChecker) Context() *probes.Context { return c.ctx }
func (c *testChecker) Final() bool              { return true }
func (c *testChecker) Invocation() *Invocation  { return &c.session }

func (c *testChecker) messages() []string {
	var out []string
	for _, d := range c.diags.All() {
		out = append(out, d.Severity.String()+": "+d.Msg)
	}
	return out
}

// program is a piece of code under test. It takes n words and returns one.
type program struct {
	t    *testing.T
	mod  *ir.Module
	prog *ir.Prog
}

// compile builds a program with the parameters params[1:]. params[0] is the context.
func compile(t *testing.T, params []ir.Type, build func(g *testGen, in []*ir.Value) *ir.Value) *program {
	t.Helper()
	b := ir.NewFunc("test", params...)
	mod := &ir.Module{}
	g := &testGen{b: b, mod: mod, arg: map[*Arg]*ir.Value{}}
	in := make([]*ir.Value, len(params))
	for i := range params {
		in[i] = b.Param(i)
	}
	r := build(g, in)
	if r == nil {
		r = b.Const(0)
	}
	b.Ret(r)
	main := ir.NewFunc("main", ir.PtrCtx)
	main.Ret(main.Const(0))
	p := &ir.Prog{Name: "test", Main: main.Fn, Subs: []*ir.Func{b.Fn}}
	mod.Progs = []*ir.Prog{p}
	if err := ir.Verify(mod); err != nil {
		t.Fatalf("%v\n%s", err, mod)
	}
	return &program{t, mod, p}
}

// stillClock is a kernel whose only helper is a clock that always returns the same
// time.
type stillClock struct{}

func (stillClock) Call(_ *irtest.Machine, h *ir.Helper, _ []uint64) (uint64, error) {
	if h != ir.KtimeBootNs {
		return 0, fmt.Errorf("%s has no model", h.Name)
	}
	return 0, nil
}

// run calls the program. A []byte argument is passed by address.
func (p *program) run(args ...any) uint64 {
	p.t.Helper()
	m := irtest.NewMachine(p.mod, nil)
	m.Helpers = stillClock{}
	words := make([]uint64, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case []byte:
			words[i] = m.Alloc(a)
		case uint64:
			words[i] = a
		case int:
			words[i] = uint64(a)
		}
	}
	r, err := m.Call(p.prog.Subs[0], words...)
	if err != nil {
		p.t.Fatalf("%v\n%s", err, p.mod)
	}
	return r
}

// argOf returns an argument of type t.
func argOf(t *types.Type) Arg { return Arg{Type: t, Expr: &ast.Ident{Name: "x"}, Made: true} }

func intLit(n int64) Arg {
	return Arg{Type: types.TInt64, Lit: &Lit{Int: n}}
}

func strLit(s string) Arg {
	return Arg{Type: types.NewString(len(s) + 1), Lit: &Lit{Str: s, IsStr: true}}
}

func (c *testChecker) StackLens(need bool) bool { return need }
