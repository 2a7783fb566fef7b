package check

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/attach"
	"github.com/gotrace/gotrace/lang/cdecl"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// maxPasses bounds the number of passes. A pass settles every use that comes
// after its dependencies in the order of the walk, so real programs need three
// or four passes. Only chains that change direction need one pass for each
// change.
const maxPasses = 64

// Input is a script whose macros are expanded and whose attach points are
// resolved, and all that its meaning depends on.
type Input struct {
	Source     *ast.Program
	Decls      *cdecl.Decls   // of its C section
	Blocks     []attach.Block // its probes, in order
	Config     *config.Config
	Invocation *builtins.Invocation
	Env        *probes.Env
	Defs       *builtins.Registry
}

// Check checks a script and returns it as programs, with all types and tables. If
// there are errors, Check adds them to diags and returns nil.
//
// Types are found by repeated passes. A pass walks all programs in order and
// joins the types it finds into the variables and maps. Passes follow until
// nothing changes, and a last one reports errors, since only then all types are
// known.
func Check(in Input, diags *source.Diags) *Program {
	c := &checker{
		defs: in.Defs, env: in.Env, cfg: in.Config, sess: in.Invocation, c: in.Decls, diags: diags,
		prog: &Program{Source: in.Source, Config: in.Config, Invocation: in.Invocation, Env: in.Env, Defs: in.Defs},
		info: newInfo(in.Source),
		maps: map[string]*mapState{}, funcs: map[string]*fnDef{}, macros: map[string]bool{},
		unstable: map[string]bool{}, said: map[noteKey]*note{}, enums: map[string]*types.Type{},
	}
	c.prog.Info = c.info
	for _, d := range in.Source.Decls {
		if m, ok := d.(*ast.Macro); ok {
			c.macros[m.Name.Text] = true
		}
	}
	c.declareMaps(in.Source)
	c.declareFuncs(in.Source)
	c.units = c.group(in.Blocks)
	c.settle()
	c.tell()
	c.finish()
	if diags.HasErrors() {
		return nil
	}
	return c.prog
}

// newInfo makes tables of about the size that p will fill.
func newInfo(p *ast.Program) *Info {
	n := 0
	if p.File != nil {
		n = len(p.File.Text) / 8 // bytes to an expression
	}
	return &Info{
		Types: make(map[ast.Expr]*types.Type, n), Lits: make(map[ast.Expr]*builtins.Lit, n/4),
		Calls: map[ast.Expr]*builtins.Call{}, FnCalls: map[*ast.Call]*Func{},
		Vars: make(map[*ast.Var]*Var, n/4), Maps: map[*ast.Map]*builtins.MapInfo{},
		Fields: map[*ast.Field]types.Field{}, Written: map[*ast.Type]*types.Type{},
		Operands: make(map[*ast.Binary]*types.Type, n/8), Compound: map[*ast.Assign]*types.Type{},
		Implied: map[ast.Node]ast.Expr{},
	}
}

// checker holds the state of checking one script.
type checker struct {
	defs  *builtins.Registry
	env   *probes.Env
	cfg   *config.Config
	sess  *builtins.Invocation
	diags *source.Diags
	prog  *Program
	info  *Info
	c     *cdecl.Decls

	macros map[string]bool // names of macros
	maps   map[string]*mapState
	order  []*mapState // in order of first use
	funcs  map[string]*fnDef
	unused *unit // holds the functions that nothing calls
	units  []*unit

	nearest  int         // names compared with all others for a hint
	calledAt source.Span // the macro call being checked, if any

	unstable map[string]bool // features that have been warned about

	said  map[noteKey]*note
	notes []*note // in order

	final     bool // types have settled: this pass reports
	changed   bool // this pass has learnt something
	defaults  bool // maps and strings that are read but never assigned have been given a type
	unsized   bool // a string that was declared without a size is read, and may never be assigned
	stackLens bool // some len() needs the length of a stored stack
	pending   bool // branches were skipped because their comptime condition is not known yet

	// Of the program being walked.
	unit     *unit
	fn       *fnState // function of unit being checked; nil: the block itself
	scopes   []map[string]*Var
	closed   map[string]*Var        // variables of blocks that have ended, for hints
	loops    []loop                 // innermost last
	enums    map[string]*types.Type // enums as values, by name
	memberOf ast.Expr               // what the expression being checked is a member of
	asked    bool                   // the current check needed a context, but there is none
	asText   *ast.Positional        // a parameter whose text counts, even if it is a number
	constant int                    // >0: inside comptime
	quiet    int                    // >0: inside an operand that is not evaluated, as of sizeof
}

// unit is a block being checked for some attach points, with the functions it
// calls. One more unit holds the functions that no block calls; its prog is
// nil.
type unit struct {
	prog     *Prog
	decl     *ast.Probe
	block    int // index of decl in the script
	funcs    []*fnState
	contexts []*probes.Context // of the prog's points

	shaped bool // reads its context: points of another shape need their own program
	named  bool // asks which attach point it runs for: every point needs its own
}

// loop is an enclosing loop; bodies of for are callbacks.
type loop struct {
	callback bool
	unroll   bool
}

// settle repeats passes until nothing changes, then runs a last one that
// reports.
func (c *checker) settle() {
	for n := 0; n < maxPasses; n++ {
		c.pass(n%2 == 1)
		if split := c.split(); c.changed || split {
			continue
		}
		if !c.defaults {
			c.defaults = true
			if c.giveDefaults() || c.pending {
				continue
			}
		}
		c.final = true
		c.order = nil
		for _, m := range c.maps {
			m.listed = false
		}
		c.pass(false)
		return
	}
	span := c.prog.Source.Span()
	for _, m := range c.order {
		span = m.info.Span
	}
	c.diags.Errorf(span, "The types of this script's maps depend on each other too deeply: they have not settled after %d rounds", maxPasses)
}

// pass walks everything once. If backwards is set, it walks the blocks from
// last to first, so that chains of maps settle in either direction.
func (c *checker) pass(backwards bool) {
	c.changed, c.pending = false, false
	for i := range c.units {
		if backwards {
			i = len(c.units) - 1 - i
		}
		c.checkUnit(c.units[i])
	}
	c.checkUnused()
}

func (c *checker) checkUnit(u *unit) {
	c.unit, c.scopes, c.loops = u, nil, nil
	c.closed = map[string]*Var{}
	c.push()
	if u.prog.Pred != nil {
		c.condition(u.prog.Pred, u.prog.Pred.Span())
	}
	c.block(u.prog.Body, false)
	c.pop()
	c.checkFuncs()
}

// finish fills in the contents of the program after types have settled.
func (c *checker) finish() {
	for i, u := range c.units {
		u.prog.Name = fmt.Sprintf("%s_%d", u.prog.Name, i+1)
		for _, f := range u.funcs {
			u.prog.Funcs = append(u.prog.Funcs, f.fn)
		}
		c.prog.Progs = append(c.prog.Progs, u.prog)
	}
	progs := map[*ast.Probe]int{}
	for _, u := range c.units {
		progs[u.decl]++
	}
	for _, u := range c.units {
		if n := progs[u.decl]; n > c.cfg.MaxBPFProgs {
			progs[u.decl] = 0 // one report for each block
			c.diags.ErrorHint(u.decl.Span(), "raise it with the max_bpf_progs config variable, if the machine can bear it",
				"Too many BPF programs: %d, the limit is %d", n, c.cfg.MaxBPFProgs)
		}
	}
	for _, m := range c.order {
		c.prog.Maps = append(c.prog.Maps, m.info)
	}
	for _, m := range c.maps {
		if m.decl != nil && !m.listed {
			c.diags.Warnf(m.decl.Span(), "Unused map: %s", m.info.Name)
		}
	}
	c.listOptions()
}

// listOptions finds the command line options that calls of getopt declare.
func (c *checker) listOptions() {
	calls := slices.SortedFunc(maps.Values(c.info.Calls), func(a, b *builtins.Call) int { return a.Span.Start - b.Span.Start })
	seen := map[string]string{}
	for _, call := range calls {
		o, ok := call.Data.(*builtins.Option)
		if !ok {
			continue
		}
		def := strconv.FormatInt(o.Default.Int, 10)
		switch {
		case o.Default.IsStr:
			def = o.Default.Str
		case o.Default.IsBool:
			def = strconv.FormatBool(o.Default.Int != 0)
		}
		if first, ok := seen[o.Name]; ok {
			if first != def {
				c.diags.Errorf(call.Span, "Command line option '%s' needs to have the same default value in all places it is used. Previous default value: %s", o.Name, first)
			}
			continue
		}
		seen[o.Name] = def
		c.prog.Options = append(c.prog.Options, object.Option{Name: o.Name, Doc: o.Doc, Default: def})
	}
	sort.Slice(c.prog.Options, func(i, j int) bool { return c.prog.Options[i].Name < c.prog.Options[j].Name })
}

func (c *checker) errorf(s source.Span, format string, args ...any) {
	c.errorHint(s, "", format, args...)
}

func (c *checker) errorHint(s source.Span, hint, format string, args ...any) {
	c.report(source.Diag{Span: s, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// errorNotes does what errorf does, with notes about other places.
func (c *checker) errorNotes(s source.Span, notes [2]source.Note, format string, args ...any) {
	c.report(source.Diag{Span: s, Msg: fmt.Sprintf(format, args...), Notes: notes})
}

func (c *checker) warnf(s source.Span, format string, args ...any) {
	if c.quiet == 0 {
		c.report(source.Diag{Span: s, Severity: source.Warning, Msg: fmt.Sprintf(format, args...)})
	}
}

// noted runs check and marks its diagnostics as part of a macro call if e is
// the result of one.
func (c *checker) noted(e ast.Expr, check func()) {
	from := ast.From(e)
	if !from.IsValid() || c.calledAt.IsValid() {
		check()
		return
	}
	c.calledAt = from
	check()
	c.calledAt = source.Span{}
}

// report notes a diagnostic once types have settled; earlier ones may be wrong.
// An error in several programs made of one block is reported for the first of
// them.
func (c *checker) report(d source.Diag) {
	if !c.final || c.asked && d.Severity == source.Error {
		return
	}
	d.From = c.calledAt
	if c.unit == nil {
		c.diags.Add(d)
		return
	}
	k := noteKey{c.unit.block, d.Span, d.Severity}
	if c.fn != nil {
		k.block = inFunction
	}
	if first := c.said[k]; first != nil && first.unit != c.unit {
		if first.last != c.unit {
			first.more, first.last = first.more+1, c.unit
		}
		return
	}
	n := &note{Diag: d, unit: c.unit, last: c.unit, inFn: c.fn != nil}
	if c.said[k] == nil {
		c.said[k] = n
	}
	c.notes = append(c.notes, n)
}

// noteKey identifies the place of a diagnostic within a block.
type noteKey struct {
	block    int
	span     source.Span
	severity source.Severity
}

// inFunction replaces the number of the block for diagnostics in a function,
// which may be part of several blocks.
const inFunction = -1

// note is a diagnostic about a block. more counts the other programs of the
// block that have the same diagnostic.
type note struct {
	source.Diag
	unit, last *unit
	more       int
	inFn       bool
}

// tell passes the notes on to the diagnostics.
func (c *checker) tell() {
	for _, n := range c.notes {
		if n.more > 0 && n.Severity == source.Error && !n.inFn {
			also := fmt.Sprintf("the same is wrong in %d other probes of this block", n.more)
			if n.more == 1 {
				also = "the same is wrong in another probe of this block"
			}
			if n.Hint != "" {
				also = n.Hint + "; " + also
			}
			n.Hint = also
		}
		c.diags.Add(n.Diag)
	}
}
