package probes

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/wildcard"
)

const (
	kernelSpace = types.Kernel
	userSpace   = types.User
)

// kprobeKind returns kprobe or, if ret is true, kretprobe.
//
// Whether a function exists is determined with BTF or kallsyms, and in the end by the
// kernel. The long list of traceable functions is read only for wildcards. Points of
// wildcards are attached through kprobe_multi if the kernel supports it. That requires
// programs that were loaded for it, which Point.Multi records.
func kprobeKind(ret bool) *Kind {
	k := &Kind{
		Name: "kprobe",
		Manual: Manual{
			Overhead: "about 100 ns at the start of a function, 500 ns or more elsewhere and where the kernel cannot use ftrace",
			Syntax:   "kprobe:[module:]function[+offset]",
			Doc:      "Runs where a kernel function is called, or at an instruction within it. function#2 or function@file.c is one of several of a name.",
		},
		Aliases: []string{"k"},
	}
	if ret {
		k = &Kind{
			Name: "kretprobe",
			Manual: Manual{
				Overhead: "about 200 ns",
				Syntax:   "kretprobe:[module:]function",
				Doc:      "Runs when a kernel function returns.",
			},
			Aliases: []string{"kr"},
		}
	}
	k.Reverse, k.Overrides, k.FollowsCalls = !ret, !ret, ret
	k.Named = namedKind(ret)
	if !ret {
		k.Return, k.Session, k.AttachSession = "kretprobe", kprobeSession, attachKprobeSession
	}
	k.OnReturn, k.Call = ret, kernelCall
	k.Parse = func(e *Env, parts []string) (*Point, error) { return parseKprobe(e, k, ret, parts) }
	k.Expand = expandKprobe
	k.Suggest = suggestFunction
	k.Lacks = func(e *Env, p *Point) string {
		if !isWild(p.Func) {
			return noKprobe(e, &object.Point{Target: p.Target, Func: p.Func})
		}
		list, _ := os.ReadFile(kprobeBlacklist) // without it, the reason is not known
		return onlyBlacklisted(p, string(list))
	}
	k.Doubt = func(e *Env, p *Point) string {
		if p.HasAddr || knownFunction(e, p.Target, p.Func) {
			return ""
		}
		return fmt.Sprintf(`%s is not traceable (either non-existing, inlined, or marked as "notrace"); attaching to it will likely fail`, p.Func)
	}
	k.Context = func(e *Env, p *Point) (*Context, error) { return kprobeContext(e, p, ret) }
	k.Attach = func(e *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error) {
		if p.Multi {
			return attachKprobeMulti(e, prog, []*object.Point{p}, ret)
		}
		return attachKprobe(e, prog, p, ret)
	}
	k.AttachMany = func(e *Env, prog *ebpf.Program, ps []*object.Point) (io.Closer, error) {
		for _, p := range ps {
			if !p.Multi {
				return nil, ebpf.ErrNotSupported
			}
		}
		return attachKprobeMulti(e, prog, ps, ret)
	}
	k.List = func(e *Env, parts []string, yield func(string) bool) error {
		all, err := e.Kernel.Functions()
		if err != nil {
			return err
		}
		prev := ""
		for _, f := range all {
			mod, fn, _ := strings.Cut(f, ":")
			if !listed(parts[1:], mod, fn) {
				continue
			}
			name := k.Name + ":" + fn
			if mod != "vmlinux" {
				name = k.Name + ":" + f
			}
			if name != prev && !yield(name) {
				break
			}
			prev = name
		}
		return nil
	}
	return k
}

func parseKprobe(e *Env, k *Kind, ret bool, parts []string) (*Point, error) {
	if err := argCount(k, parts, 1, 2); err != nil {
		return nil, err
	}
	p := &Point{Kind: k, Func: parts[len(parts)-1], Name: strings.Join(append([]string{k.Name}, parts[1:]...), ":")}
	if len(parts) == 3 {
		p.Target = parts[1]
	}
	if p.Func == "" || len(parts) == 3 && p.Target == "" {
		return nil, usage("%ss should be attached to a function or an address: write %s", k.Name, k.Syntax)
	}
	if p.Func[0] >= '0' && p.Func[0] <= '9' {
		addr, _, err := parseCount(p.Func)
		if err != nil {
			return nil, usage("Invalid address: %w", err)
		}
		if ret {
			return nil, usage("kretprobe takes a function, not an address")
		}
		if !e.Unsafe {
			return nil, usage("Probing by address requires --unsafe")
		}
		p.Addr, p.HasAddr, p.Func = addr, true, ""
		p.Name = fmt.Sprintf("%s:%d", k.Name, addr)
		return p, nil
	}
	if fn, off, ok := strings.Cut(p.Func, "+"); ok {
		if strings.Contains(off, "+") {
			return nil, usage("Cannot take more than one offset")
		}
		if ret {
			return nil, usage("Offset not allowed")
		}
		n, _, err := parseCount(strings.TrimSpace(off))
		if err != nil {
			return nil, usage("Invalid offset: %w", err)
		}
		if isWild(fn) {
			return nil, usage("%s with an offset takes a function without wildcards", k.Name)
		}
		p.Func, p.Offset = strings.TrimSpace(fn), n
		at := p.Func
		if n != 0 {
			at = fmt.Sprintf("%s+%d", at, n)
		}
		p.Name = strings.Join(append(append([]string{k.Name}, parts[1:len(parts)-1]...), at), ":")
	}
	var err error
	p.Func, p.Count, p.Mode, err = cutHomonym(p.Func)
	if err == nil && (p.Count != 0 || p.Mode != "") && isWild(p.Func) {
		err = usage("%s: what selects one of several functions follows a name without wildcards", p.Name)
	}
	return p, err
}

// knownFunction reports whether BTF or kallsyms contains a function.
func knownFunction(e *Env, module, name string) bool {
	if !loaded(e, module) {
		return false
	}
	if _, err := e.Kernel.FuncProto(module, name); err == nil {
		return true
	}
	if _, ok := e.Kernel.Symbol(name); ok {
		return true
	}
	return false
}

// loaded reports whether a module is loaded. "" and wildcards denote any module.
func loaded(e *Env, module string) bool {
	return module == "" || module == "vmlinux" || isWild(module) || slices.Contains(e.Kernel.Modules(), module)
}

// notLoaded is the error for a probe in a module that is not loaded.
type notLoaded struct{ module, probe string }

func (n notLoaded) Error() string {
	return fmt.Sprintf("specified module %s in probe %s is not loaded.", n.module, n.probe)
}

func (n notLoaded) Unwrap() error { return ErrNotFound }

// writtenOut is the Aux of points that do not come from a wildcard.
const writtenOut kprobeAux = "written out"

type kprobeAux string

// errNoKprobes is the error for a kernel without kprobes.
var errNoKprobes = outline.Errorf("this kernel is built without kprobes (CONFIG_KPROBES): %w", ebpf.ErrNotSupported)

func expandKprobe(e *Env, p *Point) ([]*Point, error) {
	if !e.Kernel.Has(FeatKprobe) && (isWild(p.Func) || isWild(p.Target)) {
		return nil, errNoKprobes
	}
	if p.HasAddr {
		return []*Point{p}, nil
	}
	if !isWild(p.Func) && !isWild(p.Target) {
		if !e.Unsafe && !knownFunction(e, p.Target, p.Func) {
			if !loaded(e, p.Target) {
				return nil, notLoaded{p.Target, p.Name}
			}
			return nil, nil
		}
		p.Aux = writtenOut
		if !knownFunction(e, p.Target, p.Func) {
			return []*Point{p}, nil // with --unsafe, the kernel decides
		}
		return expandHomonyms(e, p)
	}
	all, err := e.Kernel.Functions()
	if err != nil {
		return nil, err
	}
	multi := e.Kernel.Has(FeatKprobeMulti) && !e.NoFeature[string(FeatKprobeMulti)]
	var out []*Point
	times := map[string]int{} // by name
	for _, f := range all {
		if p.Target == "" {
			_, f, _ = strings.Cut(f, ":")
		}
		times[f]++
	}
	for _, f := range all {
		mod, fn, _ := strings.Cut(f, ":")
		if !wildcard.Match(p.Func, fn) || p.Target != "" && !wildcard.Match(p.Target, mod) {
			continue
		}
		q := *p
		q.Func = fn
		q.Name = p.Kind.Name + ":" + fn
		if p.Target != "" {
			q.Target, q.Name = mod, p.Kind.Name+":"+f
		}
		q.Multi = multi
		id := strings.TrimPrefix(q.Name, p.Kind.Name+":")
		n := times[id]
		times[id] = 0
		switch {
		case n == 1:
			out = append(out, &q)
		case n > 1:
			same, err := expandHomonyms(e, &q)
			if err != nil {
				return nil, err
			}
			out = append(out, same...)
		}
	}
	return out, nil
}

func kprobeContext(e *Env, p *Point, ret bool) (*Context, error) {
	a, err := binary.ArchOf(e.Kernel.Arch())
	if err != nil {
		return nil, err
	}
	if !e.Kernel.Has(FeatKprobe) {
		return nil, errNoKprobes
	}
	c := &Context{
		Kind:   p.Kind,
		Load:   Load{Type: ebpf.Kprobe, Shape: p.Kind.Name, Joins: joinsKprobes(p)},
		Ctx:    RawContext{Reg: a.Reg, Type: regsType(e, a)},
		Args:   Args{Space: kernelSpace},
		InTask: true,
		Stacks: true,
		Func:   TracedFunc{Name: homonym(p.Func, p.Count)},
	}
	if p.Multi {
		c.Load.AttachType = ebpf.AttachTraceKprobeMulti
		c.Load.Shape += " multi"
	}
	c.Load.BareShape = c.Load.Shape
	if e.Kernel.Has(FeatFuncIP) && p.Offset == 0 && !p.HasAddr {
		c.Func.Addr = funcIP
	} else if !ret {
		c.Func.Addr = func(b *ir.Builder, ctx *ir.Value) *ir.Value {
			return b.AddImm(a.IP(b, ctx), -int64(a.TrapSize))
		}
		c.Load.Shape += " ip"
	} else {
		c.Func.Here = func() (uint64, bool) { return addressOf(e, p) }
	}
	if ret {
		c.Ret.Type = types.TWord
		c.Ret.Read = a.Result
	} else {
		c.Args.N = len(a.Args) + binary.MaxStackArgs
		c.Args.Read = a.Arg(a.Args, binary.ABIC, kernelSpace)
	}
	if p.Aux == writtenOut && p.Offset == 0 && p.Count == 0 {
		c.Ret.Typed = func() (*types.Type, error) { return kprobeType(e, p, -1), nil }
		c.Ret.Struct = func() *types.Type { return kprobeStruct(a, e, p) }
		c.Args.TypedOne = func(n int) *types.Type { return kprobeType(e, p, n) }
	}
	if p.Aux == writtenOut && p.Offset == 0 && !ret {
		c.Packet = argSkb(e, p, c.Args.Read)
	}
	if !p.HasAddr {
		c.Args.Lines = func() []string { return kprobeLines(e, p, ret) }
	}
	return c, nil
}

// kprobeStruct returns the struct that the function returns, or nil.
func kprobeStruct(a *binary.Arch, e *Env, p *Point) *types.Type {
	proto, err := e.Kernel.FuncProto(p.Target, p.Func)
	if err != nil || proto.Result == nil || proto.Result.Kind != types.Struct {
		return nil
	}
	return a.ResultStruct(proto.Result)
}

// kprobeType returns the type of the parameter that argN denotes or, if n is negative,
// of the result. It returns nil if the type is not known, or if it is a struct.
func kprobeType(e *Env, p *Point, n int) *types.Type {
	proto, err := e.Kernel.FuncProto(p.Target, p.Func)
	if err != nil {
		return nil
	}
	if n < 0 {
		if proto.Result != nil && proto.Result.Kind == types.Struct {
			return nil
		}
		return proto.Result
	}
	if n >= len(proto.Params) || proto.Variadic {
		return nil
	}
	for _, f := range proto.Params[:n+1] {
		if !f.Type.IsScalar() { // it may take several words, so the following ones are shifted
			return nil
		}
	}
	return proto.Params[n].Type
}

// funcIP emits code that gets the address of the traced function from the kernel.
func funcIP(b *ir.Builder, ctx *ir.Value) *ir.Value { return b.Call(ir.GetFuncIP, ctx) }

// addressOf returns the address of the function at p. It asks for the symbol at that
// address even where its name is known, as this makes the result one of this boot only.
func addressOf(e *Env, p *Point) (uint64, bool) {
	addr, ok := e.Kernel.Symbol(p.Func)
	if n := int(p.Count); n > 0 {
		list := e.Kernel.Homonyms(p.Target, p.Func)
		if n > len(list) {
			return 0, false
		}
		addr, ok = list[n-1], true
	}
	if !ok || addr == 0 {
		return 0, false
	}
	_, module, _, ok := e.Kernel.SymbolAt(addr)
	return addr, ok && (p.Target == "" || p.Target == module)
}

// kprobeLines returns the C declarations of a function's argN or retval.
func kprobeLines(e *Env, p *Point, ret bool) []string {
	proto, err := e.Kernel.FuncProto(p.Target, p.Func)
	if err != nil {
		return nil
	}
	if ret {
		if proto.Result.Kind == types.Void {
			return nil
		}
		return []string{proto.ResultDecl()}
	}
	var lines []string
	for i, d := range proto.Decls() {
		name := proto.Params[i].Name
		if j := strings.LastIndex(d, name); j >= 0 {
			d = d[:j] + fmt.Sprintf("arg%d", i) + d[j+len(name):]
		}
		lines = append(lines, d)
	}
	return lines
}

func attachKprobe(e *Env, prog *ebpf.Program, p *object.Point, ret bool) (io.Closer, error) {
	name, off := p.Func, p.Offset
	switch {
	case p.HasAddr:
		name, off = "", p.Addr
	case p.Count != 0:
		addr, err := homonymAddr(e, p)
		if err != nil {
			return nil, err
		}
		name, off = "", addr+p.Offset
	case p.Target != "" && p.Target != "vmlinux":
		name = p.Target + ":" + name
	}
	if ret {
		at := name
		if at == "" {
			at = fmt.Sprintf("%#x", off)
		}
		if c, err := attachDefined(e, prog, at); err == nil {
			return c, nil
		}
	}
	c, err := attachPMU(&kprobePMU, name, off, ret, 0, 0, prog)
	if err == nil {
		return c, nil
	}
	why := map[error]string{
		unix.ENOENT:        "the kernel has no function of that name",
		unix.EADDRNOTAVAIL: "several functions of that name exist, and the kernel hides their addresses (kernel.kptr_restrict): name the module",
		unix.EILSEQ:        "the offset is in the middle of an instruction",
		unix.EINVAL:        "the kernel does not allow a probe there",
	}
	switch {
	case p.HasAddr:
		why[unix.ENOENT] = "the kernel has no code at that address"
	case errors.Is(err, unix.ENOENT):
		// BTF can name a function without the suffix that the compiler gave it.
		if other := traceableLike(e, p.Func); other != "" {
			why[unix.ENOENT] += fmt.Sprintf(", but has '%s'", other)
		}
	case errors.Is(err, unix.EINVAL):
		why[unix.EINVAL] = cmp.Or(noKprobe(e, p), why[unix.EINVAL])
	case errors.Is(err, unix.EILSEQ):
		why[unix.EILSEQ] = kprobeRefusal(e, p, why[unix.EILSEQ])
	}
	return nil, attachError(p, err, capsTracing, why)
}

// kprobeAt returns the attach point at a function, for hints.
func kprobeAt(fn string) string { return "kprobe:" + fn }
