package codegen

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/bpf"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/codegen/lower"
	"github.com/gotrace/gotrace/codegen/opt"
	"github.com/gotrace/gotrace/codegen/plan"
	"github.com/gotrace/gotrace/lang"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/cdecl"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// Options says what a script is compiled for.
type Options struct {
	Env        *probes.Env          // what for; Env.Kernel must be set
	Invocation *builtins.Invocation // nil: no parameters, nothing unsafe
	Defs       *builtins.Registry   // nil: all builtins
	// Config reads the settings once the script is parsed, so that its config
	// block counts. nil: that block and the defaults, without the environment.
	Config func(*ast.Program, *source.Diags) *config.Config
	// Dump is called with the text of each stage as it is done; nil: nobody
	// asks, and nothing is printed.
	Dump func(stage, text string)
	// ForeignReaders says that the object is for other loaders than package
	// runtime: each value of a map is whole in a kernel map.
	ForeignReaders bool
	// Verify checks the intermediate code whenever a stage has made it.
	Verify bool
	// Timed is told how long each stage took; nil: nobody asks.
	Timed func(stage string, took time.Duration)
}

// Stages are the names of the pipeline's stages that Dump is called for.
func Stages() []string {
	names := make([]string, len(stages))
	for i, s := range stages {
		names[i] = s.name
	}
	return names
}

// stages is the pipeline. Each stage needs all before it; what it leaves in
// the compilation is what the ones after it read.
var stages = []struct {
	name string
	run  func(*compilation) error
	text func(*compilation) string
	// goesOn says that the next stage runs in spite of errors and finds more.
	goesOn bool
}{
	{"ast", (*compilation).parse, func(c *compilation) string { return ast.Dump(c.tree) }, false},
	{"expand", (*compilation).expand, func(c *compilation) string { return ast.Dump(c.tree) }, true},
	// Settings first: the type rules depend on them (max_strlen).
	{"check", (*compilation).check, func(c *compilation) string { return dumpChecked(c.checked) }, false},
	{"plan", (*compilation).plan, func(c *compilation) string { return c.planned.String() }, false},
	{"ir", (*compilation).lower, func(c *compilation) string { return c.lowered.Module.String() }, false},
	{"opt", (*compilation).optimise, func(c *compilation) string { return c.lowered.Module.String() }, false},
	{"asm", (*compilation).emit, func(c *compilation) string { return object.Disassembly(c.out.Maps, c.out.Progs) }, false},
	{"object", (*compilation).assemble, func(c *compilation) string { return c.obj.String() }, false},
}

type compilation struct {
	file  *source.File
	opts  *Options
	diags *source.Diags

	kernel  *recorder
	tree    *ast.Program
	decls   *cdecl.Decls
	checked *check.Program
	planned *plan.Program
	lowered *lower.Result
	out     *bpf.Output
	obj     *object.Object
}

// Compile turns a script into an object. Diagnostics, warnings among them, are
// added to diags; where there is an error among them the object is nil. The
// error is of another kind: the compiler's own limits and mistakes.
func Compile(f *source.File, opts Options, diags *source.Diags) (obj *object.Object, err error) {
	stage := ""
	defer func() {
		if r := recover(); r != nil {
			obj, err = nil, fmt.Errorf("internal error in stage %q, please report it: %v\n%s", stage, r, debug.Stack())
		}
	}()
	if opts.Defs == nil {
		opts.Defs = builtins.NewRegistry(builtins.All())
	}
	if opts.Invocation == nil {
		opts.Invocation = &builtins.Invocation{}
	}
	if opts.Config == nil {
		opts.Config = func(p *ast.Program, diags *source.Diags) *config.Config {
			return lang.Configure(p, nil, diags)
		}
	}
	c := &compilation{file: f, opts: &opts, diags: diags}
	c.noteNeeds()
	for _, s := range stages {
		stage = s.name
		start := time.Now()
		if err := s.run(c); err != nil {
			return nil, err
		}
		if opts.Timed != nil {
			opts.Timed(s.name, time.Since(start))
		}
		if diags.HasErrors() {
			if s.goesOn {
				continue
			}
			return nil, nil
		}
		if opts.Verify && c.lowered != nil {
			if err := ir.Verify(c.lowered.Module); err != nil {
				return nil, fmt.Errorf("internal error in stage %q, please report it: %w", stage, err)
			}
		}
		if opts.Dump != nil {
			opts.Dump(s.name, s.text(c))
		}
	}
	return c.obj, nil
}

func (c *compilation) parse() error {
	c.tree = lang.Parse(c.file, c.opts.Defs, c.opts.Invocation.IncludeDirs, c.opts.Invocation.Files, c.diags)
	return nil
}

func (c *compilation) expand() error {
	o := lang.Options{Env: c.opts.Env, Defs: c.opts.Defs, Invocation: c.opts.Invocation}
	c.tree, c.decls = lang.Expand(c.tree, o, c.diags)
	return nil
}

func (c *compilation) check() error {
	var wrong source.Diags
	cfg := c.opts.Config(c.tree, &wrong)
	for _, d := range wrong.All() {
		c.diags.Add(d)
	}
	if wrong.HasErrors() {
		return nil // what follows from a wrong setting is no news
	}
	c.checked = check.Check(c.tree, c.decls, c.opts.Env, c.opts.Defs, cfg, c.opts.Invocation, c.diags)
	return nil
}

func (c *compilation) plan() error {
	var err error
	if c.planned, err = plan.Plan(c.checked, plan.Options{ForeignReaders: c.opts.ForeignReaders}); err != nil {
		return c.report(err)
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
	return nil
}

// report moves the diagnostics that err holds to where all others are.
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
	k := c.opts.Env.Kernel
	v := k.Release()
	var err error
	c.out, err = bpf.Emit(c.lowered.Module, bpf.Target{
		V4:           k.Has(probes.FeatISAv4),
		VarStack:     !v.Less(probes.Version{Major: 5, Minor: 12}),
		CPUs:         k.NumCPU(),
		OnStackLimit: c.checked.Config.OnStackLimit,
	})
	if limit, ok := err.(*bpf.LimitError); ok && limit.Pos.IsValid() {
		c.diags.Errorf(limit.Pos, "the program is too large for the kernel: %s", limit.What)
		return nil
	}
	return err
}
