package probes

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

// uprobeKind returns uprobe or, if ret is true, uretprobe. Expand finds the file and
// the offset of the function in it. Attach passes both to the kernel.
func uprobeKind(ret bool) *Kind {
	k := &Kind{
		Name: "uprobe",
		Manual: Manual{Overhead: "1 to 2 µs, since each event is a trap; up to 25 µs in a virtual machine", Syntax: "uprobe:binary:function[+offset]",
			Doc: "Runs where a function of a program or library is called, or at an instruction. A number in parentheses at the end, f(0x1000), is the offset in the file of a counter that shows the program that it is probed. Also: uprobe:binary:ADDRESS, uprobe:binary@file:line, uprobe:binary:\"ns::f(int)\" for C++ and Rust, uprobe:binary:inlined:function at its inlined copies. The binary **/PATTERN is all files with such names, and ** all files, that processes map as code, also later and in containers.",
		}, Aliases: []string{"u"},
	}
	if ret {
		k = &Kind{
			Name: "uretprobe",
			Manual: Manual{Overhead: "2 to 3 µs, since each call is a trap or two; up to 25 µs in a virtual machine", Syntax: "uretprobe:binary:function",
				Doc: "Runs when a function of a program or library returns. In Go functions it is at the instructions that return, because Go's stacks move.",
			}, Aliases: []string{"ur"},
			Traits: Traits{Named: "uprobe"},
		}
	}
	k.Reverse, k.FuncArgs, k.OnReturn, k.ChildOnly, k.Caps, k.Call = true, !ret, ret, true, capsAdmin, userCall
	k.Parse = func(e *Env, parts []string) (*Point, error) {
		return checkAnywhere(parseUprobe(e, k, ret, parts))
	}
	k.Expand = func(e *Env, p *Point) ([]*Point, error) { return expandUprobe(e, p, ret) }
	k.Suggest, k.Lacks = suggestSymbol, onlyInlined
	k.Doubt = doubtUprobe
	k.Context = func(e *Env, p *Point) (*Context, error) {
		if p.Anywhere {
			return anywhereContext(e, p, ret)
		}
		return uprobeContext(e, p, ret)
	}
	k.Attach, k.AttachMany = attachUprobe, attachUprobes
	k.List = func(e *Env, parts []string, yield func(string) bool) error {
		return listUprobes(e, k, parts, yield)
	}
	return k
}

// uprobePlace is the location of a uprobe in a file.
type uprobePlace struct {
	exe    *binary.File
	addr   uint64           // virtual address according to the file's headers
	entry  uint64           // start of the function that contains addr
	starts bool             // a probe at addr observes the calls that one at entry would: see File.Entry
	single bool             // the attach point has no wildcard and no other location
	symbol binary.Symbol    // the function
	args   []binary.USDTArg // USDT
	copy   *binary.Inlined  // the inlined copy that starts at addr, or nil
	before bool             // addr is the address of the instruction before the copy
	// replaced is set if the kernel replaces the instruction by a call.
	replaced bool
}

// cppMark is the Mode of points whose Func is a demangled name.
const cppMark = "cpp"

func parseUprobe(e *Env, k *Kind, ret bool, parts []string) (*Point, error) {
	p := &Point{Kind: k, PID: e.traced()}
	if target, at, ok, err := parseSourceLine(parts); err != nil {
		return nil, err
	} else if ok {
		if ret {
			return nil, usage("uretprobe takes a function, not a source line")
		}
		p.Target, p.Aux, p.Name = target, at, strings.Join(parts, ":")
		return p, nil
	}
	parts = scoped(parts)
	switch n := len(parts) - 1; {
	case n == 3 && parts[2] == cppMark:
		p.Target, p.Mode, p.Func, p.Implied = parts[1], cppMark, parts[3], true
	case n == 3 && parts[2] == inlinedMark:
		if ret {
			return nil, usage("uretprobe takes a function: an inlined copy of one has no instruction that returns")
		}
		p.Target, p.Mode, p.Func = parts[1], inlinedMark, parts[3]
	case n == 3:
		return nil, usage("unsupported language type: %s: only names of cpp can be demangled", parts[2])
	case n == 2:
		p.Target, p.Func = parts[1], parts[2]
		if p.Target == "" && e.PID == 0 {
			return nil, usage("%s should have a target: write %s", k.Name, k.Syntax)
		}
	case n == 1 && strings.Contains(parts[1], "@"):
		return nil, usage("Invalid %s arguments, expected format: uprobe:TARGET@FILE:LINE[:COL]", k.Name)
	case n == 1 && e.PID != 0:
		p.Func = parts[1]
	default:
		return nil, argCount(k, parts, 2, 3)
	}
	p.Name = strings.Join(parts, ":")
	if p.Func == "" {
		return nil, usage("%s should be attached to a function and/or address: write %s", k.Name, k.Syntax)
	}
	if p.Mode != "" {
		return p, nil
	}
	p.Func, p.Semaphore = counterOf(p.Func)
	p.Func = strings.ReplaceAll(p.Func, "[...]", "[*]") // Go's stack traces show the types of a generic function so
	if p.Func[0] >= '0' && p.Func[0] <= '9' {
		addr, _, err := parseCount(p.Func)
		if err != nil {
			return nil, usage("Invalid address: %w", err)
		}
		if ret {
			return nil, usage("uretprobe takes a function, not an address")
		}
		p.Addr, p.HasAddr, p.Func = addr, true, ""
		return p, nil
	}
	if i := strings.LastIndexByte(p.Func, '+'); i > 0 && !strings.Contains(p.Func[:i], "operator") {
		if ret {
			return nil, usage("Offset not allowed")
		}
		n, _, err := parseCount(strings.TrimSpace(p.Func[i+1:]))
		if err != nil {
			return nil, usage("Invalid offset: %w", err)
		}
		if isWild(p.Func[:i]) && !strings.Contains(p.Func[:i], "(*") {
			return nil, usage("%s with an offset takes a function without wildcards", k.Name)
		}
		p.Func, p.Offset = strings.TrimSpace(p.Func[:i]), n
	}
	return p, nil
}

// counterOf splits a place such as "f(0x1000)" into the place and the offset of a
// counter, here 4096. The offset is 0 if there is none.
func counterOf(place string) (string, uint64) {
	if name, text, ok := strings.Cut(strings.TrimSuffix(place, ")"), "("); ok && name != "" && strings.HasSuffix(place, ")") {
		if n, _, err := parseCount(text); err == nil {
			return name, n
		}
	}
	return place, 0
}

// openTarget opens a binary as seen by the process of -p. The files stay open for the
// life of e. The error wraps binary.ErrNotELF if the file is not an ELF file.
func openTarget(e *Env, kind, path string) (*binary.File, error) {
	theirs := inProcess(e, path)
	if x := e.opened[theirs]; x != nil {
		return x, nil
	}
	x, err := binary.Open(theirs)
	if errors.Is(err, binary.ErrNotELF) {
		return nil, usage("%s target file '%s' does not exist or is not executable: %w", kind, path, binary.ErrNotELF)
	} else if err != nil {
		return nil, outline.Errorf("%s target file '%s': %w", kind, path, err)
	}
	x.Where = binary.Where{Dirs: filepath.SplitList(e.DebugInfo), Fetch: e.FetchDebug}
	if root, ok := strings.CutSuffix(theirs, path); ok && root != "" {
		x.Where.Root, x.Where.Path = root, path
	} else if theirs != path {
		x.Where.Path = path
	}
	e.Needs.AddFile(x.Path, x.BuildID())
	if e.opened == nil {
		e.opened = map[string]*binary.File{}
	}
	e.opened[theirs] = x
	return x, nil
}

// uprobeMulti reports whether uprobe_multi can be used. Without FeatUprobeMultiPID, it
// treats a process ID as a thread ID, and misses the other threads.
func uprobeMulti(e *Env) bool {
	if e.NoFeature[string(FeatUprobeMulti)] || !e.Kernel.Has(FeatUprobeMulti) {
		return false
	}
	return e.traced() == 0 || e.Kernel.Has(FeatUprobeMultiPID)
}

func expandUprobe(e *Env, p *Point, ret bool) ([]*Point, error) {
	if p.Anywhere {
		q := *p
		q.Multi = uprobeMulti(e)
		return []*Point{&q}, nil
	}
	paths, err := resolveBinaries(e, p.Kind.Name, p.Target)
	if err != nil {
		return nil, err
	}
	manyFiles := isWild(p.Target)
	multi := uprobeMulti(e) && !strings.Contains(p.Target, binary.ArchiveMark)
	var out []*Point
	patterns := false
	for _, path := range paths {
		x, err := openTraced(e, p.Kind.Name, path)
		if errors.Is(err, binary.ErrNotELF) && e.Unsafe && p.HasAddr {
			q := *p
			q.Target, q.Name = path, fmt.Sprintf("%s:%s:%d", p.Kind.Name, path, p.Addr)
			q.File, q.FileOffset = inProcess(e, path), p.Addr
			q.Aux = &uprobePlace{exe: binary.Raw(q.File, path), addr: p.Addr}
			out = append(out, &q)
			continue
		}
		if err != nil {
			if manyFiles {
				continue
			}
			return nil, err
		}
		u := &uprobeFile{e: e, p: p, ret: ret, canMulti: multi, path: path, x: x}
		u.find()
		u.multi = multi && (u.pattern || e.Crowded)
		patterns = patterns || u.pattern
		if err := u.expand(); err != nil {
			return nil, err
		}
		out = append(out, u.out...)
	}
	if oneFunction(out) && !patterns && !manyFiles {
		for _, q := range out {
			q.Aux.(*uprobePlace).single = true
		}
	}
	markLibrary(p.Target, out)
	return out, nil
}

// oneFunction reports whether all points are at one instruction, or at the returns of
// one function.
func oneFunction(points []*Point) bool {
	for i, p := range points {
		if i > 0 && (!p.AtInsn || p.Aux.(*uprobePlace).entry != points[0].Aux.(*uprobePlace).entry) {
			return false
		}
	}
	return len(points) > 0
}

// symbol adds the point at a symbol, or at an offset in it. An indirect function is
// replaced by its implementations.
func (u *uprobeFile) symbol(s binary.Symbol) error {
	p := u.p
	if p.Offset == 0 {
		if !s.Indirect {
			return u.add(s, u.x.Entry(s), shownName(p.Func, &s))
		}
		targets, _ := u.x.Targets(s)
		if len(targets) == 0 {
			return usage("%s of %s is one of several implementations, chosen when a program is loaded, which could not be found: name one of them", p.Func, u.path)
		}
		for _, t := range targets {
			if err := u.add(t, u.x.Entry(t), p.Func); err != nil {
				return err
			}
		}
		return nil
	}
	if s.Size != 0 && p.Offset >= s.Size {
		return usage("Offset outside the function bounds ('%s' size is %d)", p.Func, s.Size)
	}
	if err := checkBoundary(u.e, u.x, s, s.Addr+p.Offset, u.path); err != nil {
		return err
	}
	return u.add(s, s.Addr+p.Offset, fmt.Sprintf("%s+%d", shownName(p.Func, &s), p.Offset))
}

// suggestSymbol returns the function whose name is most similar to p's, or "".
func suggestSymbol(e *Env, p *Point) string {
	paths, err := resolveBinaries(e, p.Kind.Name, p.Target)
	if err != nil || len(paths) != 1 {
		return ""
	}
	x, err := openTarget(e, p.Kind.Name, paths[0])
	if err != nil {
		return ""
	}
	var names []string
	for _, s := range x.Functions(func([]byte) bool { return true }) {
		names = append(names, s.Name)
	}
	if variant := variantOf(p.Func, names); variant != "" {
		return variant
	}
	return nearest(p.Func, names)
}

func uprobeContext(e *Env, p *Point, ret bool) (*Context, error) {
	c, a, err := userContext(e, p, p.Kind.Name)
	if err != nil {
		return nil, err
	}
	at := p.Aux.(*uprobePlace)
	if !e.Unsafe && at.exe.Refused(at.addr) {
		return nil, usage("the kernel puts no breakpoint on the instruction there; uprobe:%s:%s+OFFSET can probe a later one", p.Target, cmp.Or(p.Func, "FUNCTION"))
	}
	if err := harms(e, at); err != nil {
		return nil, err
	}
	c.Func.Symbol = p.place
	c.Type = func(name string) *types.Type { return p.bind(programType(at.exe)(name)) }
	c.Args.Lines = func() []string { return uprobeLines(p, ret) }
	if at.exe.IsGo(at.symbol) {
		c.Load.Shape += " of " + at.exe.Path
		c.Goroutine = func(member string) (func(*ir.Builder, *ir.Value) *ir.Value, error) {
			return at.exe.Goroutine(a, at.symbol, member)
		}
	}
	if ret {
		c.Ret.Type = types.TWord
		c.Ret.Struct = func() *types.Type { return p.bind(uprobeRetStruct(a, p)) }
		if at.single {
			c.Ret.Typed = func() (*types.Type, error) {
				t, err := uprobeRet(p)
				return p.bind(t), err
			}
			if p.AtInsn {
				c.Ret.Typed = func() (*types.Type, error) { return goResults(a, p), nil }
			}
		}
		c.Ret.Read = a.Result
		// The instruction pointer is the caller's. The helper returns the function.
		if p.AtInsn {
			c.Load.Shape += " insn"
			c.Load.BareShape = c.Load.Shape
			at.entryAddr(a, c)
		} else if e.Kernel.Has(FeatUprobeFuncIP) {
			c.Func.Addr = funcIP
		}
		return c, nil
	}
	abi := at.abi()
	regs := a.ArgRegs(abi)
	if abi != binary.ABIC {
		c.Load.Shape += fmt.Sprintf(" go %s", strings.Join(regs, " "))
	}
	c.Args.N = len(regs) + binary.MaxStackArgs
	c.Args.Read = a.Arg(regs, abi, userSpace)
	c.Args.Typed = func() (*types.Type, error) {
		p.Bound = true
		return uprobeArgs(a, p)
	}
	if at.copy != nil {
		c.Args.TypeOf = noWords
	} else if at.single {
		c.Args.TypedOne = func(n int) *types.Type { return p.bind(uprobeArg(a, p, n)) }
	}
	at.entryAddr(a, c)
	return c, nil
}

// entryAddr sets the traced address of a context to the function's first instruction. The
// instruction pointer of the context is at u.
func (u *uprobePlace) entryAddr(a *binary.Arch, c *Context) {
	c.Func.Addr = a.IP
	past := int64(u.addr - u.entry)
	if past == 0 || !u.exe.IsGo(u.symbol) || !u.starts && c.Ret.Type == nil {
		return
	}
	c.Load.Shape += fmt.Sprintf(" +%d", past)
	c.Func.OfShape = true
	c.Func.Addr = func(b *ir.Builder, ctx *ir.Value) *ir.Value { return b.AddImm(a.IP(b, ctx), -past) }
	c.Func.Symbol = func(name string) (int64, uint64, bool, bool) {
		at, size, fixed, ok := u.place(name)
		if !fixed {
			at += past
		}
		return at, size, fixed, ok
	}
}

//go:noinline
func uprobeError(p *object.Point, err error) error {
	return attachError(p, err, capsAdmin, map[error]string{
		unix.EINVAL: "the kernel cannot probe that instruction, or the file is on a file system that does not allow probes",
		unix.ENOENT: "the file no longer exists",
	})
}

// replacesReturn reports whether the kernel must replace the return address when the
// function at a point is called.
func replacesReturn(p *object.Point) bool { return p.OnReturn && !p.AtInsn }

// attachUprobe attaches a program to one point in a file.
func attachUprobe(e *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error) {
	if p.Multi {
		return attachUprobes(e, prog, []*object.Point{p})
	}
	nameHomonyms(e, p)
	c, err := attachPMU(&uprobePMU, p.File, p.FileOffset, replacesReturn(p), p.PID, p.Semaphore, prog)
	return c, uprobeError(p, err)
}

// attachUprobes attaches a program to many points, with one link for each file.
// Points at which the kernel replaces the return address have separate links.
func attachUprobes(e *Env, prog *ebpf.Program, ps []*object.Point) (io.Closer, error) {
	nameHomonyms(e, ps...)
	type group struct {
		file string
		ret  bool
	}
	var order []group
	groups := map[group][]*object.Point{}
	for _, p := range ps {
		if !p.Multi {
			return nil, ebpf.ErrNotSupported
		}
		g := group{p.File, replacesReturn(p)}
		if groups[g] == nil {
			order = append(order, g)
		}
		groups[g] = append(groups[g], p)
	}
	var all closers
	for _, g := range order {
		points := groups[g]
		x, err := link.OpenExecutable(g.file)
		if err != nil {
			all.Close()
			return nil, uprobeError(points[0], err)
		}
		opts := &link.UprobeMultiOptions{PID: uint32(points[0].PID)}
		semaphores := false
		for _, p := range points {
			opts.Addresses = append(opts.Addresses, p.FileOffset)
			opts.RefCtrOffsets = append(opts.RefCtrOffsets, p.Semaphore)
			semaphores = semaphores || p.Semaphore != 0
		}
		if !semaphores {
			opts.RefCtrOffsets = nil
		}
		var l link.Link
		if g.ret {
			l, err = x.UretprobeMulti(nil, prog, opts)
		} else {
			l, err = x.UprobeMulti(nil, prog, opts)
		}
		if err != nil {
			all.Close()
			return nil, uprobeError(points[0], err)
		}
		all = append(all, l)
	}
	return all, nil
}

// bind records that the program depends on a type of the traced file. It returns t. It
// records nothing if t is a number, text or memory that is the same in every file.
//
//go:noinline
func (p *Point) bind(t *types.Type) *types.Type {
	of := t
	for of != nil && of.Kind == types.Pointer {
		of = of.Elem
	}
	p.Bound = p.Bound || of != nil && of.Kind != types.Int && of.Kind != types.Bool && of.Kind != types.Void
	return t
}

// place is the TracedFunc.Symbol of a point in a file. TracedFunc.Addr is at the
// address of the point.
func (p *Point) place(name string) (at int64, size uint64, fixed, ok bool) {
	p.Bound = true
	return p.Aux.(*uprobePlace).place(name)
}

// place returns the place of a symbol, like Point.place.
func (u *uprobePlace) place(name string) (at int64, size uint64, fixed, ok bool) {
	s, ok := u.exe.Symbol(name)
	if u.exe.FixedAddress() {
		return int64(s.Addr), s.Size, true, ok
	}
	return int64(s.Addr - u.addr), s.Size, false, ok
}

// uprobeAt returns the attach point at a part of a file, for hints.
func uprobeAt(file, part string) string { return "uprobe:" + file + ":" + part }
