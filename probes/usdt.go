package probes

import (
	"debug/elf"
	"fmt"
	"io"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

// usdtKind attaches uprobes to the static probes that a program or library
// describes in its .note.stapsdt section. A probe may be at several places (it
// was inlined); each is a Point of its own, under one name. Where a probe has a
// semaphore, the kernel counts it up in every process that has the file mapped,
// now or later, as long as we are attached (ref_ctr_offset).
func usdtKind() *Kind {
	k := &Kind{Name: "usdt", Aliases: []string{"U"}, Syntax: "usdt:binary:[provider:]name", Doc: "Runs at a static probe of a program or library; arg0 … are its arguments."}
	k.Reverse = true
	k.Parse = func(e *Env, parts []string) (*Point, error) {
		p := &Point{Kind: k, PID: e.traced(), Name: strings.Join(parts, ":")}
		switch n := len(parts) - 1; {
		case n == 3:
			p.Target, p.NS, p.Func = parts[1], parts[2], parts[3]
		case n == 2:
			p.Target, p.Func, p.Implied = parts[1], parts[2], true
		case n == 1 && e.PID != 0:
			p.Func, p.Implied = parts[1], true
		default:
			return nil, argCount(k, parts, 2, 3)
		}
		if p.Func == "" {
			return nil, usage("usdt needs the name of a probe: write %s", k.Syntax)
		}
		return p, nil
	}
	k.Expand = expandUSDT
	k.Suggest = func(e *Env, p *Point) string {
		var names []string
		q := *p
		q.NS, q.Func = "", "*"
		all, err := expandUSDT(&Env{Kernel: e.Kernel, PID: e.PID}, &q)
		if err != nil {
			return ""
		}
		for _, s := range all {
			names = append(names, s.Func)
		}
		return nearest(p.Func, names)
	}
	k.Context = func(e *Env, p *Point) (*Context, error) {
		a, err := archOf(e.Kernel.Arch())
		if err != nil {
			return nil, err
		}
		at := p.Aux.(*uprobePlace)
		c := &Context{
			Kind: k, Prog: ebpf.Kprobe, Reg: a.reg, CtxType: regsType(e, a), ArgSpace: userSpace,
			InTask: true, Preemptible: true, Stacks: true, FuncName: p.Func, FuncIsUser: true, NArgs: maxUSDTArgs,
			Shape: fmt.Sprintf("usdt %v", at.args), BareShape: "usdt",
		}
		c.Symbol = at.symbol
		c.Arg = func(b *ir.Builder, ctx *ir.Value, n int) *ir.Value {
			if n >= len(at.args) {
				return b.Const(0)
			}
			return at.args[n].emit(a, b, ctx)
		}
		c.ArgType = func(n int) (*types.Type, string, error) {
			switch {
			case n >= len(at.args):
				return types.TInt64, fmt.Sprintf("%s has %d arguments: arg%d is 0", p.Name, len(at.args), n), nil
			case at.args[n].err != nil:
				return nil, "", fmt.Errorf("arg%d of %s: %w", n, p.Name, at.args[n].err)
			case at.args[n].signed:
				return types.TInt64, "", nil
			}
			return types.TUint64, "", nil
		}
		c.Func = func(b *ir.Builder, ctx *ir.Value) *ir.Value { return a.load(b, ctx, a.ip) }
		return c, nil
	}
	k.Attach = func(e *Env, prog *ebpf.Program, p *Point) (io.Closer, error) {
		at := p.Aux.(*uprobePlace)
		c, err := attachPMU(uprobePMU, at.exe.path, at.offset, false, p.PID, at.semaphore, prog)
		return c, uprobeError(p, err)
	}
	k.List = func(e *Env, parts []string, yield func(string) bool) error {
		target, rest := listedTarget(e, parts)
		p := &Point{Kind: k, Target: target, NS: "*", Func: rest[len(rest)-1]}
		if len(rest) == 2 {
			p.NS = rest[0]
		}
		all, err := expandUSDT(e, p)
		prev := ""
		for _, q := range all {
			if q.Name != prev && !yield(q.Name) {
				break
			}
			prev = q.Name
		}
		return err
	}
	return k
}

func expandUSDT(e *Env, p *Point) ([]*Point, error) {
	paths, err := resolveBinaries(e, p.Kind.Name, p.Target)
	if err != nil {
		return nil, err
	}
	var out []*Point
	for _, path := range paths {
		x, err := openTarget(e, p.Kind.Name, path)
		if err != nil {
			if isWild(p.Target) {
				continue
			}
			return nil, err
		}
		for _, n := range x.notes() {
			if !match(p.Func, n.name) || p.NS != "" && !match(p.NS, n.provider) {
				continue
			}
			off, ok := x.executableOffset(n.addr)
			if !ok {
				continue
			}
			q := *p
			q.Target, q.NS, q.Func = path, n.provider, n.name
			q.Name = strings.Join([]string{p.Kind.Name, path, n.provider, n.name}, ":")
			at := &uprobePlace{exe: x, offset: x.base + off, addr: n.addr}
			if n.semaphore != 0 {
				if at.semaphore, ok = x.fileOffset(n.semaphore); !ok {
					return nil, fmt.Errorf("%s: the semaphore of the probe is not in the file", q.Name)
				}
				at.semaphore += x.base
			}
			at.args = parseUSDTArgs(archOfELF(x.file.Machine), n.args, func(name string) (int64, bool) {
				s, ok := x.symbol(name)
				return int64(s.addr - n.addr), ok
			})
			q.Aux = at
			out = append(out, &q)
		}
	}
	return out, nil
}

// maxUSDTArgs is how many arguments a static probe may have.
const maxUSDTArgs = 256

func archOfELF(m elf.Machine) string {
	switch m {
	case elf.EM_X86_64:
		return "amd64"
	case elf.EM_AARCH64:
		return "arm64"
	}
	return m.String()
}

// usdtNote is one probe of a file.
type usdtNote struct {
	provider, name, args string
	addr, semaphore      uint64
}

// notes reads .note.stapsdt: notes of type 3 and owner "stapsdt" whose content
// is three addresses (the probe, the base, the semaphore) and three strings.
// Addresses count from where .stapsdt.base was when the note was written;
// prelinking moves it.
func (x *executable) notes() []usdtNote {
	order := x.file.ByteOrder
	data := x.bytesOf(x.file.Section(".note.stapsdt"))
	base := uint64(0)
	if s := x.file.Section(".stapsdt.base"); s != nil {
		base = s.Addr
	}
	var list []usdtNote
	for len(data) >= 12 {
		nameLen, descLen, typ := uint64(order.Uint32(data)), uint64(order.Uint32(data[4:])), order.Uint32(data[8:])
		descAt := 12 + (nameLen+3)&^3
		next := descAt + (descLen+3)&^3
		if descAt > uint64(len(data)) || descAt+descLen > uint64(len(data)) {
			break
		}
		owner, desc := string(data[12:12+nameLen]), data[descAt:descAt+descLen]
		data = data[min(next, uint64(len(data))):]
		if typ != 3 || owner != "stapsdt\x00" || len(desc) < 24 {
			continue
		}
		n := usdtNote{addr: order.Uint64(desc), semaphore: order.Uint64(desc[16:])}
		was := order.Uint64(desc[8:])
		text := strings.Split(string(desc[24:]), "\x00")
		if len(text) < 3 {
			continue
		}
		n.provider, n.name, n.args = text[0], text[1], text[2]
		if base != 0 {
			n.addr += base - was
			if n.semaphore != 0 {
				n.semaphore += base - was
			}
		}
		list = append(list, n)
	}
	return list
}
