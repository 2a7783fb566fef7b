package probes

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/wildcard"
)

// anywhere is the start of a target that stands for the files of all processes, in all
// mount namespaces, including files that a process maps later. ** is every file, **/NAME
// every file whose name matches a pattern. gotrace searches for the files while the
// session runs, so the program cannot depend on them.
const anywhere = "**"

// anywhereName returns the pattern of file names in such a target.
//
//go:noinline
func anywhereName(target string) (pattern string, ok bool) {
	if target == anywhere {
		return "*", true
	}
	return strings.CutPrefix(target, anywhere+"/")
}

// checkAnywhere completes a point for files that are not known yet. It returns an error
// if the point has parts that need a known file.
func checkAnywhere(p *Point, err error) (*Point, error) {
	if err != nil {
		return p, err
	}
	if _, p.Anywhere = anywhereName(p.Target); !p.Anywhere {
		return p, nil
	}
	_, isLine := p.Aux.(binary.SourceLine)
	name := strings.ReplaceAll(p.Func, "(*", "(")
	if p.HasAddr || p.Offset != 0 || p.Mode != "" || isLine || name == "" || isWild(name) {
		return nil, usage("the target %s needs the name of a function, without wildcards or an offset", p.Target)
	}
	return p, nil
}

// goName reports whether the name of a function is a Go name, with the path of a package.
func goName(name string) bool {
	_, last, ok := strings.Cut(name[strings.LastIndexByte(name, '/')+1:], ".")
	if !ok || last == "" {
		return false
	}
	for _, part := range []string{"part", "isra", "constprop", "cold", "llvm", "lto_priv"} {
		if strings.HasPrefix(last, part) {
			return false
		}
	}
	return true
}

// userContext describes a program at a function of a file: all that does not depend on
// which file it is. shape is the Shape of its Load.
func userContext(e *Env, p *Point, shape string) (*Context, *binary.Arch, error) {
	a, err := binary.ArchOf(e.Kernel.Arch())
	if err != nil {
		return nil, nil, err
	}
	c := &Context{
		Kind:        p.Kind,
		Load:        Load{Type: ebpf.Kprobe, Shape: shape, BareShape: shape, Sleeps: func() bool { return e.Kernel.Has(FeatSleepUprobe) }},
		Ctx:         RawContext{Reg: a.Reg, SetReg: a.SetReg, Type: regsType(e, a)},
		Args:        Args{Space: userSpace},
		InTask:      true,
		Preemptible: true,
		Stacks:      true,
		Func:        TracedFunc{Name: p.Func, User: true},
	}
	c.Load.multi(p)
	// The kernel compares address spaces, and after vfork a child shares that of its
	// parent. Some kernels also run programs for returns in forked processes.
	c.Only.PID = p.PID
	return c, a, nil
}

// anywhereContext describes a program at a function of files that are not known yet.
func anywhereContext(e *Env, p *Point, ret bool) (*Context, error) {
	c, a, err := userContext(e, p, p.Kind.Name+" anywhere")
	if err != nil {
		return nil, err
	}
	if ret {
		c.Ret.Type = types.TWord
		c.Ret.Read = a.Result
		return c, nil
	}
	abi := binary.ABIC
	if goName(p.Func) {
		abi = binary.ABIGo
	}
	regs := a.ArgRegs(abi)
	c.Load.Shape += " " + strings.Join(regs, " ")
	c.Args.N = len(regs) + binary.MaxStackArgs
	c.Args.Read = a.Arg(regs, abi, userSpace)
	return c, nil
}

// multi completes l for a point that may be attached together with others.
func (l *Load) multi(p *Point) {
	if p.Multi {
		l.AttachType = ebpf.AttachTraceUprobeMulti
		l.Shape += " multi"
		l.BareShape += " multi"
	}
}

// AnywhereIn reports whether an anywhere point may be in files with a given name.
func AnywhereIn(p *object.Point, name string) bool {
	pattern, ok := anywhereName(p.Target)
	return ok && wildcard.Match(pattern, filepath.Base(name))
}

// NamesFile reports whether an anywhere point is limited to files with certain names.
func NamesFile(p *object.Point) bool {
	pattern, ok := anywhereName(p.Target)
	return ok && pattern != "*"
}

// Alike returns the function of a file whose name is most similar to that of a point, or "".
func (f *CodeFile) Alike(p *object.Point) string {
	var names []string
	for _, s := range f.x.Functions(func([]byte) bool { return true }) {
		names = append(names, s.Name)
	}
	return strings.Clone(nearest(p.Func, names)) // the file will be closed
}

// Find returns the places of an anywhere point in a file. There are none if the file has
// another name or no such function. If a function cannot be traced, the error gives the
// reason.
func (f *CodeFile) Find(p *object.Point) ([]*object.Point, error) {
	if !AnywhereIn(p, f.Name) || !f.x.Mentions(p.Func) {
		return nil, nil
	}
	var out []*object.Point
	var failed error
	for _, named := range f.x.Named(p.Func) {
		targets, _ := f.x.Targets(named)
		for _, s := range targets {
			if f.x.IsGo(s) != goName(p.Func) {
				continue
			}
			addrs, err := f.addresses(p, s)
			failed = cmp.Or(failed, err)
			for _, addr := range addrs {
				off, ok := f.x.CodeOffset(addr)
				if !ok || f.x.Refused(addr) {
					failed = cmp.Or(failed, usage("the kernel puts no breakpoint on %s of %s", p.Func, f.Name))
					continue
				}
				if slices.ContainsFunc(out, func(q *object.Point) bool { return q.FileOffset == f.x.Base+off }) {
					continue
				}
				q := *p
				q.File, q.FileOffset, q.AtInsn = f.x.Path, f.x.Base+off, p.OnReturn && f.x.IsGo(s)
				q.Name = p.Kind + ":" + f.Name + ":" + p.Func
				out = append(out, &q)
			}
		}
	}
	return out, failed
}

// addresses returns the addresses at which to probe s.
func (f *CodeFile) addresses(p *object.Point, s binary.Symbol) ([]uint64, error) {
	if f.x.IsGo(s) && f.x.ABI(s) != binary.ABIGo {
		return nil, usage("%s of %s takes its arguments from the stack: the program was built with a release before Go 1.17", p.Func, f.Name)
	}
	if !p.OnReturn || !f.x.IsGo(s) {
		return []uint64{f.x.Entry(s)}, nil
	}
	r, err := f.x.Returns(s)
	if err == nil && len(r.At) == 0 {
		err = neverReturns(r)
	}
	return r.At, err
}

// StandardFiles returns files that processes are likely to map soon and that may have an
// anywhere point: libraries and programs with matching names in the usual directories.
func StandardFiles(p *object.Point) []string {
	pattern, ok := anywhereName(p.Target)
	if !ok || pattern == "*" {
		return nil
	}
	var list []string
	for _, dir := range append(binary.LibraryDirs("/"), filepath.SplitList(os.Getenv("PATH"))...) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, f := range entries {
			if wildcard.Match(pattern, f.Name()) {
				list = append(list, filepath.Join(dir, f.Name()))
			}
		}
	}
	return list
}
