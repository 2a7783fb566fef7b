package probes

import (
	"debug/elf"
	"fmt"
	"io"
	"strconv"
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
		if at.argsErr != nil {
			return nil, at.argsErr
		}
		c := &Context{
			Kind: k, Prog: ebpf.Kprobe, Reg: a.reg, CtxType: regsType(e, a), ArgSpace: userSpace,
			InTask: true, Preemptible: true, Stacks: true, FuncName: p.Func, FuncIsUser: true, NArgs: len(at.args),
			Shape: fmt.Sprintf("usdt %v", at.args), BareShape: "usdt",
		}
		c.Arg = func(b *ir.Builder, ctx *ir.Value, n int) *ir.Value { return at.args[n].emit(a, b, ctx) }
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
			if at.args, at.argsErr = parseUSDTArgs(archOfELF(x.file.Machine), n.args); at.argsErr != nil {
				at.argsErr = fmt.Errorf("%s: arguments %q: %w", q.Name, n.args, at.argsErr)
			}
			q.Aux = at
			out = append(out, &q)
		}
	}
	return out, nil
}

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

// usdtArg is where an argument is when its probe runs: a constant, a register,
// or memory at register + offset + index × scale.
type usdtArg struct {
	size   int
	signed bool
	konst  int64
	reg    string // "" for a constant
	memory bool
	off    int64
	index  string
	scale  int64
}

// emit computes the argument from the registers.
func (u *usdtArg) emit(a *arch, b *ir.Builder, ctx *ir.Value) *ir.Value {
	if u.reg == "" {
		return b.Const(u.konst)
	}
	v := b.Load(ctx, int64(a.regs[u.reg]), 8, false)
	if !u.memory {
		if u.off != 0 { // the second byte of a register: %ah
			v = b.Op(ir.OpShr, v, b.Const(u.off))
		}
		return b.Extend(v, u.size, u.signed)
	}
	addr := b.AddImm(v, u.off)
	if u.index != "" {
		i := b.Load(ctx, int64(a.regs[u.index]), 8, false)
		if u.scale != 1 {
			i = b.Op(ir.OpMul, i, b.Const(u.scale))
		}
		addr = b.Op(ir.OpAdd, addr, i)
	}
	return b.Extend(readWord(b, addr, u.size, types.User), u.size, u.signed)
}

// parseUSDTArgs reads arguments as assemblers write operands, each with its
// size in bytes before an @, negative if it is signed: "-4@%eax 8@-16(%rbp)".
func parseUSDTArgs(arch, text string) ([]usdtArg, error) {
	var list []usdtArg
	for _, word := range splitArgs(text) {
		u := usdtArg{size: 8}
		if size, rest, ok := strings.Cut(word, "@"); ok {
			// Floating-point operands have an f behind the size.
			n, err := strconv.Atoi(strings.TrimSuffix(size, "f"))
			if err != nil {
				return nil, fmt.Errorf("%q has no size", word)
			}
			u.size, u.signed, word = max(n, -n), n < 0, rest
		}
		switch u.size {
		case 1, 2, 4, 8:
		default:
			return nil, fmt.Errorf("size %d is not supported", u.size)
		}
		var ok bool
		switch arch {
		case "amd64":
			ok = u.parseX86(word)
		case "arm64":
			ok = u.parseARM(word)
		default:
			return nil, fmt.Errorf("arguments on %s are not known", arch)
		}
		if !ok {
			return nil, fmt.Errorf("operand %q is not understood", word)
		}
		list = append(list, u)
	}
	return list, nil
}

// splitArgs splits at blanks outside brackets ("8@[sp, 16]" is one word).
func splitArgs(text string) []string {
	var words []string
	depth, start := 0, -1
	for i := 0; i <= len(text); i++ {
		switch {
		case i == len(text) || text[i] == ' ' && depth == 0:
			if start >= 0 {
				words = append(words, text[start:i])
			}
			start = -1
			continue
		case text[i] == '[':
			depth++
		case text[i] == ']':
			depth--
		}
		if start < 0 {
			start = i
		}
	}
	return words
}

// x86Register is the name in pt_regs of a register of any width, and by how
// many bits its value lies above the lowest.
func x86Register(name string) (reg string, shift int64, ok bool) {
	name, ok = strings.CutPrefix(name, "%")
	if !ok {
		return "", 0, false
	}
	switch name {
	case "rip", "eip":
		return "ip", 0, true
	case "ah", "bh", "ch", "dh":
		return name[:1] + "x", 8, true
	case "al", "bl", "cl", "dl":
		return name[:1] + "x", 0, true
	case "sil", "dil", "bpl", "spl":
		return name[:2], 0, true
	}
	if len(name) > 1 && name[0] == 'r' && name[1] >= '0' && name[1] <= '9' {
		name = strings.TrimRight(name, "dwb")
	} else if len(name) == 3 && (name[0] == 'r' || name[0] == 'e') {
		name = name[1:]
	}
	_, ok = archAMD64.regs[name]
	return name, 0, ok
}

func (u *usdtArg) parseX86(op string) bool {
	if rest, ok := strings.CutPrefix(op, "$"); ok {
		n, err := strconv.ParseInt(rest, 0, 64)
		u.konst = n
		return err == nil
	}
	open := strings.IndexByte(op, '(')
	if open < 0 {
		var ok bool
		u.reg, u.off, ok = x86Register(op)
		return ok
	}
	u.memory, u.scale = true, 1
	if disp := op[:open]; disp != "" {
		n, err := strconv.ParseInt(disp, 0, 64)
		if err != nil {
			return false // relative to a symbol
		}
		u.off = n
	}
	parts := strings.Split(strings.TrimSuffix(op[open+1:], ")"), ",")
	if !strings.HasSuffix(op, ")") || len(parts) > 3 {
		return false
	}
	var ok bool
	if u.reg, _, ok = x86Register(strings.TrimSpace(parts[0])); !ok || u.reg == "ip" {
		return false
	}
	if len(parts) > 1 {
		if u.index, _, ok = x86Register(strings.TrimSpace(parts[1])); !ok {
			return false
		}
	}
	if len(parts) > 2 {
		n, err := strconv.ParseInt(strings.TrimSpace(parts[2]), 0, 64)
		u.scale, ok = n, err == nil
	}
	return ok
}

// armRegister accepts x0 … x30, w0 … w30 and sp.
func armRegister(name string) (string, bool) {
	name = strings.TrimSpace(name)
	if strings.HasPrefix(name, "w") {
		name = "x" + name[1:]
	}
	_, ok := archARM64.regs[name]
	return name, ok
}

func (u *usdtArg) parseARM(op string) bool {
	if inner, ok := strings.CutPrefix(op, "["); ok {
		u.memory, u.scale = true, 1
		inner, ok = strings.CutSuffix(inner, "]")
		parts := strings.Split(inner, ",")
		if !ok || len(parts) > 2 {
			return false
		}
		if u.reg, ok = armRegister(parts[0]); !ok {
			return false
		}
		if len(parts) == 2 {
			second := strings.TrimPrefix(strings.TrimSpace(parts[1]), "#")
			if n, err := strconv.ParseInt(second, 0, 64); err == nil {
				u.off = n
			} else if u.index, ok = armRegister(second); !ok {
				return false
			}
		}
		return true
	}
	if n, err := strconv.ParseInt(op, 0, 64); err == nil {
		u.konst = n
		return true
	}
	var ok bool
	u.reg, ok = armRegister(op)
	return ok
}
