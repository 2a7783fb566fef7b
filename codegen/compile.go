package codegen

import (
	"runtime/debug"
	"slices"
	"time"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/bpf"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/codegen/lower"
	"github.com/gotrace/gotrace/codegen/opt"
	"github.com/gotrace/gotrace/codegen/plan"
	"github.com/gotrace/gotrace/lang"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/attach"
	"github.com/gotrace/gotrace/lang/cdecl"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

// Request specifies how to compile a script.
type Request struct {
	Env        *probes.Env          // environment to compile for; Env.Kernel must be set
	Invocation *builtins.Invocation // nil: no parameters, and unsafe builtins are not allowed
	Defs       *builtins.Registry   // nil: all builtins
	// Config reads the settings, with the script's config block, from the parsed script.
	// If it is nil, settings come from that block and the defaults, but not from the
	// environment.
	Config func(*ast.Program, *source.Diags) *config.Config
	// Dump is called after each stage with its result as text. If it is nil, no text is
	// generated.
	Dump func(stage, text string)
	// ForeignReaders is set if the object is for loaders other than package runtime.
	// Then each value of a map must be entirely in a kernel map.
	ForeignReaders bool
	// Sample adds code to programs that can be sampled, so that the runtime can let them
	// run at one of several events.
	Sample bool
	// Verify makes each stage that generates IR verify it.
	Verify bool
	// Timed is called after each stage with the time that it took. It may be nil.
	Timed func(stage string, took time.Duration)
}

// Stages returns the names of the pipeline's stages for which Dump is called.
//
//go:noinline
func Stages() []string {
	names := make([]string, len(stages))
	for i, s := range stages {
		names[i] = s.name
	}
	return names
}

// stages is the pipeline. Each stage uses the results of earlier stages in the
// compilation.
var stages = []struct {
	name string
	run  func(*compilation) error
	text func(*compilation) string // the result of the stage
	// goesOn is set if the next stage runs even after errors, to find more of them.
	goesOn bool
}{
	{"ast", (*compilation).parse, func(c *compilation) string { return ast.Dump(c.tree) }, false},
	{"events", (*compilation).events, func(c *compilation) string { return ast.Dump(c.tree) }, true},
	{"expand", (*compilation).expand, func(c *compilation) string { return ast.Dump(c.tree) }, true},
	{"until", (*compilation).addUntil, func(c *compilation) string { return ast.Dump(c.tree) }, true},
	{"attach", (*compilation).attach, func(c *compilation) string { return attach.Text(c.blocks) }, true},
	{"types", (*compilation).check, func(c *compilation) string { return c.checked.String() }, false},
	{"plan", (*compilation).plan, func(c *compilation) string { return c.planned.String() }, false},
	{"ir", (*compilation).lower, func(c *compilation) string { return c.lowered.Module.String() }, false},
	{"opt", (*compilation).optimise, func(c *compilation) string { return c.lowered.Module.String() }, false},
	{"fetch", (*compilation).fetch, (*compilation).fetchersText, false},
	{"asm", (*compilation).emit, func(c *compilation) string { return object.Disassembly(c.out.Maps, c.out.Progs) }, false},
	{"object", (*compilation).assemble, func(c *compilation) string { return c.obj.String() }, false},
}

type compilation struct {
	file  *source.File
	req   *Request
	diags *source.Diags

	kernel  *witness
	until   *ast.Probe // its predicate is the condition of --until; nil: no condition, or an attach point
	tree    *ast.Program
	config  *config.Config
	decls   *cdecl.Decls
	blocks  []attach.Block
	checked *check.Program
	planned *plan.Program
	lowered *lower.Result
	out     *bpf.Output
	obj     *object.Object
}

// Compile compiles a script. It adds errors and warnings to diags. If there is an
// error, the object is nil. An error that Compile itself returns is a bug in the
// compiler, or one of its limits.
func Compile(f *source.File, req Request, diags *source.Diags) (*object.Object, error) {
	c := newCompilation(f, req, diags)
	err := c.runTo("object")
	return c.obj, err
}

// Check checks a script without compiling it. Its results are those of Compile, with
// the checked script instead of the object.
func Check(f *source.File, req Request, diags *source.Diags) (*check.Program, error) {
	c := newCompilation(f, req, diags)
	err := c.runTo("types")
	return c.checked, err
}

func newCompilation(f *source.File, req Request, diags *source.Diags) *compilation {
	if req.Defs == nil {
		req.Defs = builtins.NewRegistry(builtins.All())
	}
	if req.Invocation == nil {
		req.Invocation = &builtins.Invocation{}
	}
	if req.Config == nil {
		req.Config = func(p *ast.Program, diags *source.Diags) *config.Config {
			return lang.Configure(p, nil, diags)
		}
	}
	c := &compilation{file: f, req: &req, diags: diags}
	c.noteNeeds()
	return c
}

// runTo runs the stages up to the one named last, or to the first one with an error.
func (c *compilation) runTo(last string) (err error) {
	stage := ""
	defer func() {
		if r := recover(); r != nil {
			c.checked, c.obj = nil, nil
			err = outline.Errorf("internal error in stage %q, please report it: %v\n%s", stage, r, debug.Stack())
		}
	}()
	for _, s := range stages {
		stage = s.name
		start := time.Now()
		if err := s.run(c); err != nil {
			return err
		}
		if c.req.Timed != nil {
			c.req.Timed(s.name, time.Since(start))
		}
		if c.diags.HasErrors() {
			if s.goesOn {
				continue
			}
			return nil
		}
		if c.req.Verify && c.lowered != nil {
			if err := ir.Verify(c.lowered.Module); err != nil {
				return outline.Errorf("internal error in stage %q, please report it: %w", stage, err)
			}
		}
		if c.req.Dump != nil {
			c.req.Dump(s.name, s.text(c))
		}
		if stage == last {
			return nil
		}
	}
	return nil
}

// parse reads the script, its imports and its settings.
func (c *compilation) parse() error {
	c.tree = lang.Parse(c.file, c.req.Defs, c.req.Invocation.IncludeDirs, c.req.Invocation.Files, c.diags, c.parseUntil()...)
	if !c.diags.HasErrors() {
		c.config = c.req.Config(c.tree, c.diags)
	}
	return nil
}

func (c *compilation) events() error {
	c.tree = attach.Events(c.tree, c.req.Env, c.req.Invocation.Params, c.diags)
	return nil
}

func (c *compilation) expand() error {
	c.tree, c.decls = lang.Expand(c.tree, c.req.Env.Kernel, c.req.Defs, c.req.Invocation, c.diags)
	return nil
}

func (c *compilation) attach() error {
	apart := c.req.ForeignReaders || attach.ReadsKernelStack(c.tree, c.req.Defs)
	c.blocks = attach.Resolve(c.tree, c.req.Env, c.config, c.req.Invocation.Params, apart, c.diags)
	return nil
}

func (c *compilation) check() error {
	c.checked = check.Check(check.Input{
		Source: c.tree, Decls: c.decls, Blocks: c.blocks,
		Config: c.config, Invocation: c.req.Invocation, Env: c.req.Env, Defs: c.req.Defs,
	}, c.diags)
	return nil
}

func (c *compilation) plan() error {
	var err error
	if c.planned, err = plan.Plan(c.checked, c.req.ForeignReaders); err != nil {
		return c.report(err)
	}
	if c.req.Sample {
		c.planned.Sample()
	}
	for _, d := range c.planned.Warnings {
		c.diags.Add(d)
	}
	return nil
}

func (c *compilation) lower() error {
	var err error
	if c.lowered, err = lower.Lower(c.planned); err != nil {
		return c.report(err)
	}
	if c.lowered.Recorder != nil && !slices.ContainsFunc(c.lowered.Module.Maps, func(m *ir.Map) bool { return m.Name == object.RecorderMap }) {
		c.diags.Add(source.Diag{Severity: source.Warning, Msg: "--recorder: there is nothing to record, as no probe prints anything"})
	}
	return nil
}

// report adds the diagnostics in err to the others. It returns errors of other kinds.
func (c *compilation) report(err error) error {
	list, ok := err.(source.DiagError)
	if !ok {
		return err
	}
	for _, d := range list {
		c.diags.Add(d)
	}
	return nil
}

func (c *compilation) optimise() error {
	opt.Run(c.lowered.Module)
	return nil
}

func (c *compilation) emit() error {
	k := c.req.Env.Kernel
	var err error
	c.out, err = bpf.Emit(c.lowered.Module, bpf.Target{
		V4:           k.Has(probes.FeatISAv4),
		VarStack:     k.Has(probes.FeatVarStack),
		CPUs:         k.NumCPU(),
		OnStackLimit: c.checked.Config.OnStackLimit,
		Cast: func() (cast, task int64) {
			kf, ok := k.Kfunc("bpf_rdonly_cast")
			t, err := k.Type("struct task_struct")
			if !ok || err != nil || !k.Has(probes.FeatRdonlyCast) {
				return 0, 0
			}
			return int64(kf), int64(t.BTFID)
		},
	})
	if limit, ok := err.(*bpf.LimitError); ok && limit.Pos.IsValid() {
		c.diags.ErrorHint(limit.Pos, limit.Hint, "the program is too large for the kernel: %s", limit.What)
		return nil
	}
	return err
}
