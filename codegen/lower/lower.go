// Package lower translates a checked script into SSA.
//
// A value of one machine word is an SSA value, kept extended to 64 bits according to
// its type. Larger values are handled by address and by destination: the code for an
// expression writes its result where it is needed (an event's record, a map key, a
// variable), so that a string is read once, into its final place. An expression that
// already has a place (a variable, a map entry, a member of a kernel object) is
// referred to by it, and only the parts that are used are read.
//
// What the kernel may refuse at run time is counted at a site and gives zero. If a
// kernel feature is missing, that is an error at the place that needs it.
//
// The files are:
//
//	expressions   value.go, arith.go, compare.go and cond.go; absent members in absent.go
//	syntax tree   tree.go
//	memory        place.go, read.go, store.go and mem.go; temporaries in temps.go; retry.go
//	              reads at a return a string that was not in memory at the call
//	statements    stmt.go; loops that the kernel calls back in callback.go, loops over
//	              pointers of the kernel in walk.go
//	functions     call.go and function.go; parts.go divides a program in which the
//	              verifier would follow too many instructions
//	variables     vars.go and calm.go
//	maps          maps.go, adder.go and ofmaps.go; package store implements the layouts
//	builtins      gen.go, event.go, stamp.go and packed.go
//	flags         scope.go and follow.go select processes, record.go is for --recorder,
//	              capture.go for --pcap, and sample.go for the budget
//	predicates    later.go passes the part that user space decides with the events
//	shared data   tables.go
package lower

import (
	"slices"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/codegen/plan"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/store"
)

// Result is the result of lowering: the module, and the tables that the runtime needs
// to decode records.
type Result struct {
	Module *ir.Module
	OfMaps []OfMap // the programs that user space runs to work on maps
	Events []object.Event
	Sites  []object.Site
	// Recorder is the recorder of --recorder, or nil.
	Recorder *object.Recorder
}

// OfMap is a program that user space runs to work on a map.
type OfMap struct {
	Map int // index in the plan's Order
	store.Program
}

// Lower translates p. The error is a source.DiagError about constructs that the kernel
// of p does not support.
func Lower(p *plan.Program) (*Result, error) {
	u := &shared{
		p: p, k: p.Env.Kernel, info: p.Info,
		res:    &Result{Module: &ir.Module{Maps: slices.Clone(p.Kernel)}},
		tables: newTables(), inWhile: map[*check.Var]bool{},
	}
	u.startRecorder()
	for i, prog := range p.Progs {
		u.program(i, prog)
	}
	u.ofMaps()
	u.followers()
	u.finishRecorder()
	if err := u.diags.Err(); err != nil {
		return nil, err
	}
	u.finish()
	return u.res, nil
}

// shared is the state that the functions of a script share.
type shared struct {
	p     *plan.Program
	k     probes.Kernel
	info  *check.Info
	res   *Result
	diags source.Diags

	inWhile     map[*check.Var]bool // used by a while loop
	scopeFailed bool                // see scopeError
	nested      map[*ast.For]int64  // see inlineTurns
	recorder    *recording          // nil: no --recorder
	later       *later              // of the current program; nil: its predicate is decided by it
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

// program lowers the program with index i.
func (u *shared) program(i int, p *check.Prog) {
	prog := &ir.Prog{Name: p.Name, Kind: p.Ctx.Kind.Name, Of: i}
	f := newFn(u, prog, p, "main", ir.PtrCtx)
	f.ctx = f.b.Param(0)
	prog.Main = f.b.Fn
	f.captured = u.captures(nil, p.Pred, p.Body)
	f.calm(p)
	f.often = u.count(p)
	f.result = p.Ctx.Result
	u.later = nil
	decidedLater := p.Pred != nil && u.info.Later[p.Pred] != nil
	if !decidedLater { // each part of a program would have to know the values
		f.cutProgram(p)
	}
	f.start()
	if p.Ctx.Ctx.EndMark > 0 {
		object := f.b.Load(f.ctxValue(), p.Ctx.Ctx.EndMark, 8, false)
		object.Type = ir.PtrBTF
		f.onlyIf(object)
	}
	f.unreadAtStart(f.p.Forgets[p], func(*plan.Retry, *ir.Value, *ir.Value) {})
	f.confine(&p.Ctx.Only)
	f.unreadAtStart(f.p.RetriesAt[p], f.complete)
	f.startSampling()
	if decidedLater {
		f.at(p.Pred.Span())
		f.decideLater(p.Pred, p.Body)
	} else if p.Pred != nil {
		f.at(p.Pred.Span())
		f.only(func(body, out *ir.Block) { f.branch(p.Pred, body, out) })
	}
	f.startCapture()
	f.reportCall()
	f.block(p.Body)
	if f.b.Cur != nil {
		f.at(p.Span)
		f.Return(nil)
	}
	f.endCapture()
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
	turns        int64                    // product of the iterations of the enclosing inline ranges; 0: none
	retry        *plan.Retry              // the string that is being read, if it may be read again later
	nilExit      *exit                    // destination of the current chain of loads for a null pointer
	absent       *absence                 // destination of an expression that reads an absent member
	once         map[string]*ir.Value     // see atStart
	ready        map[ast.Expr]place       // arguments of an event computed before its record is held
	walked       map[*check.Var]bool      // pointers that the enclosing loops advance: see walk
	numbers      map[*ir.Value]bool       // sums that are not pointers
	result       int64                    // the program's default result

	capture *capture // of a program with --pcap, or nil
	cut     *cutting // of a program that is cut into parts: see cutProgram

	often
	calmVars
	tempPool
	sharedFrame

	bail     *ir.Block   // ends the function after an impossible condition; nil: not created yet
	callback *callback   // the loop whose body this function is, or nil
	script   *check.Func // the script function that this function is, or nil
	out      *ir.Value   // script function: address for a result that is not a word
}

func newFn(u *shared, irp *ir.Prog, p *check.Prog, name string, params ...ir.Type) *fn {
	return &fn{
		shared: u, irp: irp, prog: p, b: ir.NewFunc(name, params...),
		vars: map[*check.Var]*local{}, subs: map[*check.Func]*ir.Func{}, numbers: map[*ir.Value]bool{}, sharedFrame: sharedFrame{commonOf: map[*fn]*ir.Value{}},
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

// Surely returns p, which is never null, after the null check that the kernel's
// verifier requires. If p is null, the function ends, since continuing would be another
// path for the verifier.
func (f *fn) Surely(p *ir.Value) *ir.Value {
	if f.bail == nil {
		f.bail = f.b.NewBlock()
		f.bail.Unlikely = true
	}
	f.b.Need(p, f.bail)
	return f.b.NonNil(p)
}

// prologue emits code that runs once, when the function starts.
//
//go:noinline
func (f *fn) prologue(emit func()) {
	cur := f.b.Cur
	f.b.SetBlock(f.entry)
	emit()
	f.entry = f.b.Cur
	f.b.SetBlock(cur)
}

// at sets the source position of the code that is emitted next, and returns the
// previous one.
//
//go:noinline
func (f *fn) at(s source.Span) source.Span {
	old := f.b.Pos
	if s.IsValid() {
		f.b.Pos = s
	}
	return old
}

// Return ends the program with the result x, or with its default result if x is nil.
func (f *fn) Return(x *ir.Value) {
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
		if f.capture != nil {
			f.capture.leave(f, x)
			return
		}
		f.b.Ret(x)
	}
}
