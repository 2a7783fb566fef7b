// Package lower turns a checked script into SSA.
//
// A value of one machine word is an SSA value, kept extended to 64 bits as its
// type says. Everything larger is handled by address and by destination: the code for
// an expression writes its result where it is needed (an event's record, a map key, a
// variable), so that a string is read once, into its final place. An expression that
// already has a place (a variable, a map entry, a member of a kernel object) is
// referred to by it, and only the parts that are used are read.
//
// What the kernel may refuse at run time is counted at a site and gives zero. If a
// kernel feature is missing, that is an error at the place that needs it.
//
// The files: expressions by kind (value.go, arith.go, compare.go, cond.go;
// absent.go for what may not be there),
// memory (place.go, read.go, store.go), statements (stmt.go, callback.go for loops
// that the kernel calls back, call.go for script functions), variables (vars.go,
// calm.go), maps (maps.go, adder.go, reset.go; package store knows how they are kept),
// what all programs share (tables.go), the tests of the flags that choose processes
// (scope.go, follow.go), and what builtins build code with (gen.go,
// event.go, packed.go).
package lower

import (
	"slices"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/codegen/plan"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// Result is what lowering makes: the module, and the tables by which the runtime reads
// records.
type Result struct {
	Module *ir.Module
	Resets []int // the maps that the module's last programs reset, by their place in the plan's Order
	Events []object.Event
	Sites  []object.Site
	// Follows says that the very last two programs are those of --follow: at a fork, and
	// for every task.
	Follows bool
}

// Lower translates p. The error is a source.DiagError about what the kernel that p was
// checked against cannot run.
func Lower(p *plan.Program) (*Result, error) {
	u := &shared{
		p: p, k: p.Env.Kernel, info: p.Info,
		res:    &Result{Module: &ir.Module{Maps: slices.Clone(p.Kernel)}},
		tables: newTables(), inWhile: map[*check.Var]bool{},
	}
	for _, prog := range p.Progs {
		u.program(prog)
	}
	u.resets()
	u.followers()
	if err := u.diags.Err(); err != nil {
		return nil, err
	}
	u.finish()
	return u.res, nil
}

// shared is what the programs of a script being lowered have in common.
type shared struct {
	p     *plan.Program
	k     probes.Kernel
	info  *check.Info
	res   *Result
	diags source.Diags

	inWhile     map[*check.Var]bool // used by a while loop
	scopeFailed bool                // see scopeError
	nested      map[*ast.For]int64  // see inlineTurns
	tables
}

// need reports whether the kernel has a feature. If not, it adds an error at s.
func (u *shared) need(feat probes.Feature, s source.Span, what string) bool {
	if u.k.Has(feat) {
		return true
	}
	u.diags.Errorf(s, "%s", probes.Needs(u.k, what, feat))
	return false
}

// program lowers one program.
func (u *shared) program(p *check.Prog) {
	prog := &ir.Prog{Name: p.Name, Kind: p.Ctx.Kind.Name}
	f := newFn(u, prog, p, "main", ir.PtrCtx)
	f.ctx = f.b.Param(0)
	prog.Main = f.b.Fn
	f.captured = u.captures(nil, p.Pred, p.Body)
	f.calm(p)
	f.additions, f.adders = u.countAdditions(p.Body), map[string]*ir.Func{}
	f.result = p.Ctx.Result
	f.cutProgram(p)
	f.start()
	if p.Ctx.Ctx.EndMark > 0 {
		object := f.b.Load(f.ctxValue(), p.Ctx.Ctx.EndMark, 8, false)
		object.Type = ir.PtrBTF
		f.onlyIf(object)
	}
	f.confine(&p.Ctx.Only)
	if p.Pred != nil {
		f.at(p.Pred.Span())
		f.only(func(body, out *ir.Block) { f.branch(p.Pred, body, out) })
	}
	f.block(p.Body)
	if f.b.Cur != nil {
		f.at(p.Span)
		f.returnNow(nil)
	}
	f.end()
	u.res.Module.Progs = append(u.res.Module.Progs, prog)
}

// fn is a function being lowered: a program's main function, a script function,
// or the body of a loop that the kernel calls back.
type fn struct {
	*shared
	irp  *ir.Prog
	prog *check.Prog // the program it is part of
	b    *ir.Builder
	ctx  *ir.Value // the program's context

	entry, first *ir.Block // the entry block stays open for slots and parameters until end
	vars         map[*check.Var]*local
	captured     map[*check.Var]bool
	subs         map[*check.Func]*ir.Func // shared by the functions of a program
	loops        []jumps                  // enclosing loops, innermost last
	turns        int64                    // of the enclosing ranges that stay in this function, multiplied; 0: none
	nilExit      *exit                    // where the chain of loads being lowered goes at a null pointer
	absent       *absence                 // where an expression goes that reads what is not there
	once         map[string]*ir.Value     // see Once
	ready        map[ast.Expr]place       // arguments of an event computed before its record is held
	walked       map[*check.Var]bool      // pointers that the enclosing loops move along: see walk
	numbers      map[*ir.Value]bool       // sums that are known not to be pointers
	result       int64                    // what the program returns by default

	additions map[*builtins.MapInfo]int // of a program: see add
	adders    map[string]*ir.Func

	cut *cutting // of a program that is cut into parts: see cutProgram

	inMap    func(*check.Var) bool // says which variables are in a map: see calm; nil: none
	mapVars  map[*check.Var]int    // where in the map's value they are
	varsBase *ir.Value

	temps     int // how many were asked for
	usedTemps []*ir.Value
	freeTemps map[int][]*ir.Value // by size

	bail      *ir.Block   // ends the function where something impossible happened; nil: not made yet
	callback  *callback   // the loop this function is the body of, or nil
	script    *check.Func // the script function it is, or nil
	out       *ir.Value   // script function: where a result that is not a word goes
	frame     *ir.Value   // what callbacks reach of this function's variables
	frameSize int64
	common    *ir.Value         // the variables that callbacks reach, where there are many; nil: not made
	commonAt  int64             // where in the frame its address is
	commonOf  map[*fn]*ir.Value // of a callback: the same of the functions around it
}

func newFn(u *shared, irp *ir.Prog, p *check.Prog, name string, params ...ir.Type) *fn {
	return &fn{
		shared: u, irp: irp, prog: p, b: ir.NewFunc(name, params...),
		vars: map[*check.Var]*local{}, subs: map[*check.Func]*ir.Func{}, numbers: map[*ir.Value]bool{}, commonOf: map[*fn]*ir.Value{},
	}
}

// start begins the body, in the block after the entry.
func (f *fn) start() {
	f.startVars()
	f.entry = f.b.Cur
	f.first = f.b.NewBlock()
	f.b.Seal(f.first)
	f.b.SetBlock(f.first)
}

// end ends the entry block.
func (f *fn) end() {
	if f.bail != nil {
		f.b.SealSet(f.bail)
		r := f.result
		if f.callback != nil {
			r = stop
		}
		f.b.Ret(f.b.Const(r))
	}
	f.b.SetBlock(f.entry)
	f.b.Jump(f.first)
}

// Surely returns p, which is never null although the kernel's verifier wants it
// checked. If p is null, the function ends: to go on would be one more path for the
// verifier to follow.
func (f *fn) Surely(p *ir.Value) *ir.Value {
	if f.bail == nil {
		f.bail = f.b.NewBlock()
		f.bail.Unlikely = true
	}
	f.b.Need(p, f.bail)
	return f.b.NonNil(p)
}

// prologue emits code that runs once when the function starts.
func (f *fn) prologue(emit func()) {
	cur := f.b.Cur
	f.b.SetBlock(f.entry)
	emit()
	f.entry = f.b.Cur
	f.b.SetBlock(cur)
}

// at sets the place in the source of what is emitted from here on, and returns the one
// set before.
func (f *fn) at(s source.Span) source.Span {
	old := f.b.Pos
	if s.IsValid() {
		f.b.Pos = s
	}
	return old
}

// returnNow ends the program with the result x, or with its default result if x is nil.
func (f *fn) returnNow(x *ir.Value) {
	switch {
	case f.callback != nil:
		f.callback.leave(f, x)
	case f.isPart():
		f.b.Ret(f.partResult(x))
	case f.script != nil:
		if x == nil {
			x = f.b.Const(0)
		}
		f.b.Ret(x)
	default:
		if x == nil {
			x = f.b.Const(f.result)
		}
		f.b.Ret(x)
	}
}
