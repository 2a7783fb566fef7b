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
	"github.com/gotrace/gotrace/lang/pattern"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// maxPasses is the maximum number of passes. A pass settles every use that follows its
// dependencies in the order of the walk, so real programs need three or four passes.
// Only chains that change direction need one pass for each change.
const maxPasses = 64

// Input is a script after macro expansion and resolution of attach points, and
// everything else that its meaning depends on.
type Input struct {
	Source     *ast.Program
	Decls      *cdecl.Decls   // of its C section
	Blocks     []attach.Block // its probes, in order
	Config     *config.Config
	Invocation *builtins.Invocation
	Env        *probes.Env
	Defs       *builtins.Registry
}

// Check checks a script and returns it as programs, with all types and tables. If there
// are errors, Check adds them to diags and returns nil.
//
// Types are determined by repeated passes. A pass walks all programs in order and joins
// the types that it finds into those of variables and maps. Passes are repeated until
// nothing changes. Then a last one reports errors, since only then all types are known.
// known.
func Check(in Input, diags *source.Diags) *Program {
	c := &checker{
		defs: in.Defs, env: in.Env, cfg: in.Config, sess: in.Invocation, c: in.Decls, diags: diags,
		prog: &Program{Source: in.Source, Config: in.Config, Invocation: in.Invocation, Env: in.Env, Defs: in.Defs},
		info: newInfo(in.Source),
		maps: map[string]*mapState{}, funcs: map[string]*fnDef{}, macros: map[string]bool{},
		warned: map[string]bool{}, said: map[noteKey]*note{}, enums: map[string]*types.Type{},
	}
	c.prog.Info = c.info
	for _, d := range in.Source.Decls {
		if m, ok := d.(*ast.Macro); ok {
			c.macros[m.Name.Text] = true
		}
	}
	c.declareMaps(in.Source)
	c.declareFuncs(in.Source)
	c.variants = c.group(in.Blocks)
	c.settle()
	c.tell()
	c.finish()
	if diags.HasErrors() {
		return nil
	}
	return c.prog
}

// newInfo creates tables with about the size that p needs.
func newInfo(p *ast.Program) *Info {
	n := 0
	if p.File != nil {
		n = len(p.File.Text) / 8 // about 8 bytes per expression
	}
	return &Info{
		Types: make(map[ast.Expr]*types.Type, n), Lits: make(map[ast.Expr]*builtins.Lit, n/4),
		Calls: map[ast.Expr]*builtins.Call{}, FnCalls: map[*ast.Call]*Func{},
		Vars: make(map[*ast.Var]*Var, n/4), Maps: map[*ast.Map]*builtins.MapInfo{},
		Fields: map[*ast.Field]types.Field{}, Written: map[*ast.Type]*types.Type{},
		Operands: make(map[*ast.Binary]*types.Type, n/8), Compound: map[*ast.Assign]*types.Type{},
		Implied: map[ast.Node]ast.Expr{}, Later: map[ast.Expr]*Later{},
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

	macros   map[string]bool // names of macros
	maps     map[string]*mapState
	order    []*mapState // in order of first use
	funcs    map[string]*fnDef
	unused   *variant // functions that no block calls
	variants []*variant
	traced   map[string]*sides // see calls

	nearest int          // number of names that were compared with all others for a hint
	called  *source.Call // the macro call being checked, or nil

	warned map[string]bool // features that have been warned about

	patterns pattern.Cache

	said  map[noteKey]*note
	notes []*note // in order of report

	final     bool // types have settled: this pass reports
	changed   bool // this pass has learned something
	defaults  bool // maps and strings that are read but never assigned have got a type
	unsized   bool // a string declared without a size is read, and possibly never assigned
	stackLens bool // some len() needs the length of a stored stack
	pending   bool // branches were skipped because their comptime condition is not known yet

	// State of the walk through a program.
	variant  *variant
	fn       *fnState // function of variant being checked; nil: the block itself
	scopes   []map[string]*Var
	closed   map[string]*Var        // variables of blocks that have ended, for hints
	places   []blockPos             // the enclosing blocks, the innermost last
	hoisted  []survivor             // variables that live on after an if
	loops    []loop                 // the innermost is last
	enums    map[string]*types.Type // enums as values, by name
	memberOf ast.Expr               // the expression whose member the current expression is
	asked    bool                   // the current check requested a context, but there is none
	asText   *ast.Positional        // a parameter whose text is used, even if it is a number
	long     ast.Expr               // an argument that may be a literal longer than max_strlen
	listed   ast.Expr               // an argument that may be an address without quotes
	folded   bool                   // literals are operands of an operator that is computed now: they may be longer
	inPred   bool                   // inside a predicate
	constant int                    // >0: inside comptime
	quiet    int                    // >0: inside an operand that is not evaluated, such as that of sizeof
}

// variant is a block that is checked for some attach points, with the functions that it
// calls. One additional variant holds the functions that no block calls; its prog is nil.
type variant struct {
	prog     *Prog
	decl     *ast.Probe
	block    int // index of decl in the script
	funcs    []*fnState
	contexts []*probes.Context // contexts of prog's points
	own      []*probes.Context // contexts of programs for each of the points alone
	calls    []*builtins.Call  // found in the last pass

	shaped bool // it reads its context: points of another shape need their own program
	named  bool // it depends on the attach point: every point needs its own program
}

// loop is an enclosing loop. Bodies of for are callbacks.
type loop struct {
	callback bool
	unroll   bool
}

// settle repeats passes until nothing changes. Then it runs a last pass, which reports
// errors.
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

// pass walks all programs once. If backwards is set, it walks the blocks from last to
// first, so that chains of maps settle in either direction.
func (c *checker) pass(backwards bool) {
	c.changed, c.pending = false, false
	for i := range c.variants {
		if backwards {
			i = len(c.variants) - 1 - i
		}
		c.checkVariant(c.variants[i])
	}
	c.checkUnused()
}

func (c *checker) checkVariant(u *variant) {
	c.variant, c.scopes, c.loops = u, nil, nil
	c.closed = map[string]*Var{}
	c.push()
	if u.prog.Pred != nil {
		c.inPred = true
		c.condition(u.prog.Pred, u.prog.Pred.Span())
		c.inPred = false
	}
	c.block(u.prog.Body, false)
	c.pop()
	c.capture(u)
	c.decidedLater(u)
	c.shareAutomata(u)
	c.calls(u)
	c.checkFuncs()
}

// finish completes the programs after types have settled.
func (c *checker) finish() {
	for i, u := range c.variants {
		u.prog.Name = fmt.Sprintf("%s_%d", u.prog.Name, i+1)
		for _, f := range u.funcs {
			u.prog.Funcs = append(u.prog.Funcs, f.fn)
		}
		u.countCalls()
		c.prog.Progs = append(c.prog.Progs, u.prog)
	}
	progs := map[*ast.Probe]int{}
	for _, u := range c.variants {
		progs[u.decl]++
	}
	for _, u := range c.variants {
		if n := progs[u.decl]; n > c.cfg.MaxBPFProgs {
			progs[u.decl] = 0 // one report per block
			c.diags.ErrorHint(u.decl.Span(), "if the machine can handle more programs, increase the max_bpf_progs config variable",
				"Too many BPF programs: %d, the limit is %d", n, c.cfg.MaxBPFProgs)
		}
	}
	for _, m := range c.order {
		c.prog.Maps = append(c.prog.Maps, m.info)
	}
	for _, m := range c.maps {
		if m.decl != nil && !m.listed && !ast.OfProvider(m.info.Name) {
			c.diags.Warnf(m.decl.Span(), "Unused map: %s", m.info.Name)
		}
	}
	c.listOptions()
}

// countCalls sets Call.Calls of the program's calls.
func (u *variant) countCalls() {
	n := map[*builtins.Def]int{}
	for _, call := range u.calls {
		n[call.Def]++
	}
	for _, call := range u.calls {
		call.Calls = n[call.Def]
	}
}

// listOptions collects the command line options that calls of getopt declare.
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

//go:noinline
func (c *checker) errorf(s source.Span, format string, args ...any) {
	c.errorHint(s, "", format, args...)
}

func (c *checker) errorHint(s source.Span, hint, format string, args ...any) {
	c.report(source.Diag{Span: s, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// errorNotes is errorf with notes about other positions.
func (c *checker) errorNotes(s source.Span, notes [2]source.Note, format string, args ...any) {
	c.report(source.Diag{Span: s, Msg: fmt.Sprintf(format, args...), Notes: notes})
}

func (c *checker) warnf(s source.Span, format string, args ...any) {
	if c.quiet == 0 {
		c.report(source.Diag{Span: s, Severity: source.Warning, Msg: fmt.Sprintf(format, args...)})
	}
}

// noted runs check. If e is the result of a macro call, it marks the diagnostics as
// part of that call.
func (c *checker) noted(e ast.Expr, check func()) {
	old := c.called
	if from := ast.From(e); from != nil {
		c.called = from
	}
	check()
	c.called = old
}

// report records a diagnostic once types have settled; earlier ones may be wrong. An
// error in several programs of one block is reported for the first of them.
func (c *checker) report(d source.Diag) {
	if !c.final || c.asked && d.Severity == source.Error {
		return
	}
	d.From = c.called
	if c.variant == nil {
		c.diags.Add(d)
		return
	}
	k := noteKey{c.variant.block, d.Span, d.Severity}
	if c.fn != nil {
		k.block = inFunction
	}
	if first := c.said[k]; first != nil && first.variant != c.variant {
		if first.last != c.variant {
			first.more, first.last = first.more+1, c.variant
		}
		return
	}
	n := &note{Diag: d, variant: c.variant, last: c.variant, inFn: c.fn != nil}
	if c.said[k] == nil {
		c.said[k] = n
	}
	c.notes = append(c.notes, n)
}

// noteKey identifies the position of a diagnostic in a block.
type noteKey struct {
	block    int
	span     source.Span
	severity source.Severity
}

// inFunction is used instead of the number of the block for diagnostics in a function,
// which may be part of several blocks.
const inFunction = -1

// note is a diagnostic about a block. more is the number of other programs of the block
// with the same diagnostic.
type note struct {
	source.Diag
	variant, last *variant
	more          int
	inFn          bool
}

// tell adds the notes to the diagnostics.
func (c *checker) tell() {
	for _, n := range c.notes {
		if n.more > 0 && n.Severity == source.Error && !n.inFn {
			also := fmt.Sprintf("the same error occurs in %d other probes of this block", n.more)
			if n.more == 1 {
				also = "the same error occurs in another probe of this block"
			}
			if n.Hint != "" {
				also = n.Hint + "; " + also
			}
			n.Hint = also
		}
		c.diags.Add(n.Diag)
	}
}
